//! The limits on what an evaluation may cost, whatever a client sends. Beside them, and not ours: a message nests 100
//! levels at most (prost), JSON text 127 (serde_json), a request has 1,047,000 bytes.

/// A JSONPath, in bytes. Longer ones are no path.
pub const MAX_PATH_BYTES: usize = 4096;

/// Brackets and parentheses inside each other in a JSONPath: its parser recurses.
pub const MAX_PATH_NESTING: usize = 16;

/// Deep scans (`..`) of a JSONPath, filters included. Each can select a node as often as the document is deep.
pub const MAX_DEEP_SCANS: usize = 1;

/// The product of the selectors in the unions (`[0,1]`) of a JSONPath: each selects a node once more.
pub const MAX_UNIONS: usize = 64;

/// Nodes that a JSONPath may select, all that is in them counted: a deep scan copies what lies deep many times.
pub const MAX_SELECTED: usize = 1 << 20;

/// Bytes of what one evaluation makes: texts, lists, maps and structs put together, and all new values of an edge's
/// mutations. Above the largest row (`index::MAX_ROW_BYTES`), so that what could be stored is never refused here.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

use super::fault::Fault;

/// Counts the bytes that an evaluation makes.
#[derive(Debug, Default)]
pub(super) struct Spent(usize);

impl Spent {
    /// So many bytes more.
    ///
    /// # Errors
    /// They are too many.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Fault> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > MAX_VALUE_BYTES {
            return Err(Fault::var_sub(format!(
                "The value is too large: an evaluation makes at most {MAX_VALUE_BYTES} bytes"
            )));
        }
        Ok(())
    }
}
