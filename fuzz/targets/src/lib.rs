//! Every decoder and every command, fed with arbitrary bytes.
//!
//! A target is a function of bytes that panics if the product does something that it must not do. libFuzzer calls them
//! (`make fuzz`), and so does the test of this crate, with the files of `fuzz/corpus`.
//!
//! In the corpus, `seed-…` is what the product itself writes (`cargo run --release -p ironhorse-fuzz-targets -- fuzz/corpus`
//! writes it anew after a change of format), `found-…` an input that found something.
//!
//! An input of several parts has each part, but for the last, behind its length (16 bits, big-endian): see [`Input`].
#![deny(missing_docs)]

mod disk;
mod generate;
mod input;
mod log;
mod rows;
mod scope;
pub mod seed;
mod store;
mod templates;
mod text;
mod user_tasks;
mod values;
mod wf_specs;
mod world;

pub use disk::MemoryDisk;
pub use input::{Input, join};
pub use templates::{core_commands, definitions};
pub use wf_specs::{Tried, put_and_run};
pub use world::{Op, World};

/// Something to be fed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of the binary that libFuzzer runs, and of its directory in the corpus.
    pub name: &'static str,
    /// Panics if an input leads to something that must not happen.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 12] = [
    Target {
        name: "segments",
        run: log::segments,
    },
    Target {
        name: "frames",
        run: log::frames,
    },
    Target {
        name: "changelog",
        run: store::changelog,
    },
    Target {
        name: "rows",
        run: rows::rows,
    },
    Target {
        name: "commands",
        run: world::commands,
    },
    Target {
        name: "requests",
        run: world::requests,
    },
    Target {
        name: "bookmarks",
        run: text::bookmarks,
    },
    Target {
        name: "ids",
        run: text::ids,
    },
    Target {
        name: "values",
        run: values::values,
    },
    Target {
        name: "json_paths",
        run: values::json_paths,
    },
    Target {
        name: "expressions",
        run: values::expressions,
    },
    Target {
        name: "wf_specs",
        run: wf_specs::wf_specs,
    },
];

/// Runs the target of this name.
///
/// # Panics
/// There is none, or the target found something.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    assert!(target.is_some(), "no target {name}");
    if let Some(target) = target {
        (target.run)(bytes);
    }
}
