//! `ironhorse backup` and `ironhorse restore`.

use std::path::PathBuf;

use ironhorse_rpc::tools::{self, Source};

#[derive(Debug, clap::Args)]
pub(crate) struct BackupFlags {
    /// The data directory, and the directory of backups; with --server only the latter.
    #[arg(value_name = "DIR TARGET", num_args = 1..=2, required = true)]
    paths: Vec<PathBuf>,
    /// The HTTP address (`--http`) of a server that runs on this machine.
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestoreFlags {
    /// The directory of backups.
    target: PathBuf,
    /// The data directory to make.
    dir: PathBuf,
    /// Which backup [default: the newest].
    #[arg(long, value_name = "N")]
    number: Option<u64>,
}

pub(crate) fn backup(flags: BackupFlags) -> Result<(), String> {
    let (source, target) = match (flags.server, &flags.paths[..]) {
        (Some(server), [target]) => (Source::Server(server), target),
        (None, [dir, target]) => (Source::Dir(dir.clone()), target),
        _ => {
            return Err("say either DIR TARGET, or --server HOST:PORT TARGET".to_owned());
        }
    };
    let done = tools::backup(&source, target, &mut super::progress).map_err(|e| e.to_string())?;
    println!(
        "backup {}: {} files, {} bytes, up to position {}; copied {} files, {} bytes",
        done.number, done.files, done.bytes, done.end, done.new_files, done.new_bytes
    );
    Ok(())
}

pub(crate) fn restore(flags: RestoreFlags) -> Result<(), String> {
    let restored = tools::restore(
        &flags.target,
        flags.number,
        &flags.dir,
        &mut super::progress,
    )
    .map_err(|error| error.to_string())?;
    super::verify::print(&restored.verified);
    println!(
        "restored backup {} of {} to {}: everything up to position {}",
        restored.number,
        proto::time::from_millis(restored.time_ms as i64),
        flags.dir.display(),
        restored.end
    );
    Ok(())
}
