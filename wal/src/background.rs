//! Threads that do what nobody waits for.

use rustix::process::{getpriority_process, setpriority_process};

/// How far behind the others a background thread stands, as Linux counts it: it gets a tenth of the time of one that has
/// not stepped back, if both want all of it.
const NICE: i32 = 10;
/// There is nothing behind this.
const LAST: i32 = 19;

/// The calling thread, and those that it starts from now on, step back behind those that a client waits for. (What they
/// do must not be starved either: a write-back that never ends stops the groups.)
pub fn step_back() {
    // Linux takes the calling thread for the process here.
    let set = getpriority_process(None)
        .and_then(|nice| setpriority_process(None, (nice + NICE).min(LAST)));
    if let Err(error) = set {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_its_children_step_back_and_no_other() {
        let before = getpriority_process(None).unwrap();
        let (own, child) = std::thread::spawn(|| {
            step_back();
            let child = std::thread::spawn(|| getpriority_process(None).unwrap());
            (getpriority_process(None).unwrap(), child.join().unwrap())
        })
        .join()
        .unwrap();
        let behind = (before + NICE).min(LAST);
        assert_eq!((own, child), (behind, behind));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
