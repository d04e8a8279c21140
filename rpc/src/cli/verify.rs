//! `ironhorse verify`.

use std::path::PathBuf;

use ironhorse_rpc::tools;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The data directory. No server may be running on it.
    dir: PathBuf,
}

pub(crate) fn run(flags: Flags) -> Result<(), String> {
    let verified = tools::verify(&flags.dir, &mut super::progress).map_err(|e| e.to_string())?;
    print(&verified);
    println!("{}: good", flags.dir.display());
    Ok(())
}

/// What was found.
pub(super) fn print(verified: &tools::Verified) {
    println!("log: {} frames", verified.frames);
    if let Some(place) = &verified.torn {
        println!("log: torn in {place}: the next start cuts it off");
    }
    for group in &verified.groups {
        let [state, index, queue] = group.rows;
        println!(
            "group {}: {state} state rows, {queue} queue rows, {index} index entries, {} checkpoints, store at {}, log at {}",
            group.id, group.checkpoints, group.position, group.log_position
        );
        for index in &group.building {
            println!(
                "group {}: the index of {index} is being built: not checked",
                group.id
            );
        }
    }
}
