//! Memory for the keys and values that a batch writes.
//!
//! A row needs two allocations for its key and two for its value if each is a vector of its own that becomes shared. Here
//! many rows lie in one chunk, which is freed with the last of them: committed rows go to the base together anyway.

use bytes::{Bytes, BytesMut};

/// Bytes of a chunk.
const CHUNK: usize = 64 << 10;
/// What is larger than this has memory of its own, so that it does not keep a chunk's other rows.
const LARGE: usize = CHUNK / 8;

/// See the module.
#[derive(Debug, Default)]
pub struct Arena {
    chunk: BytesMut,
}

impl Arena {
    /// A copy of some bytes.
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        self.write(bytes.len(), |buffer| buffer.extend_from_slice(bytes))
    }

    /// What `write` appends to the buffer: about `len` bytes.
    pub fn write(&mut self, len: usize, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        if len > LARGE {
            let mut own = BytesMut::with_capacity(len);
            write(&mut own);
            return own.freeze();
        }
        if self.chunk.capacity() < len {
            self.chunk = BytesMut::with_capacity(CHUNK);
        }
        write(&mut self.chunk);
        self.chunk.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_chunk_and_of_their_own() {
        let mut arena = Arena::default();
        let lens = [0, 1, 100, LARGE, LARGE + 1, CHUNK, CHUNK + 1, 7];
        let rows: Vec<Bytes> = lens
            .iter()
            .cycle()
            .take(100)
            .enumerate()
            .map(|(number, len)| arena.copy(&vec![number as u8; *len]))
            .collect();
        for (number, row) in rows.iter().enumerate() {
            assert_eq!(row.len(), lens[number % lens.len()]);
            assert!(row.iter().all(|byte| *byte == number as u8));
        }
    }

    #[test]
    fn a_row_may_be_longer_than_announced() {
        let mut arena = Arena::default();
        let long = arena.write(1, |buffer| buffer.extend_from_slice(&vec![1; 2 * CHUNK]));
        assert_eq!(long, vec![1; 2 * CHUNK]);
        assert_eq!(arena.copy(b"next"), "next");
    }
}
