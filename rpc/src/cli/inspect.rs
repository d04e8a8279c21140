//! `ironhorse inspect`.

use std::path::PathBuf;

use clap::Subcommand;
use ironhorse_rpc::tools;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The data directory.
    dir: PathBuf,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The log's segments. A server may be running.
    Segments,
    /// The log's partitions. A server may be running.
    Partitions,
    /// The tables of each group's store.
    Tables,
    /// One row, as JSON: `wfRun ID`, `taskRun RUN GUID`, `variable RUN THREAD NAME`, `wfSpec NAME MAJOR REVISION`, ...
    Key {
        /// What it is, and its id.
        #[arg(required = true)]
        words: Vec<String>,
        /// The tenant.
        #[arg(long, default_value = "default")]
        tenant: String,
    },
}

pub(crate) fn run(flags: Flags) -> Result<(), String> {
    let mut say = |line: String| println!("{line}");
    let dir = &flags.dir;
    match flags.what {
        Some(What::Segments) => tools::inspect_segments(dir, &mut say),
        Some(What::Partitions) => tools::inspect_partitions(dir, &mut say),
        Some(What::Tables) => tools::inspect_tables(dir, &mut say),
        Some(What::Key { words, tenant }) => tools::inspect_key(dir, &words, &tenant, &mut say),
        None => tools::inspect_segments(dir, &mut say)
            .and_then(|()| tools::inspect_partitions(dir, &mut say))
            .and_then(|()| tools::inspect_tables(dir, &mut say)),
    }
    .map_err(|error| error.to_string())
}
