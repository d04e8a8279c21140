//! Power cuts: what was not synced may be lost page by page, in any combination (SIGKILL tests none of this: the page
//! cache survives it).

use proptest::prelude::*;

use super::super::segments::PAGE;
use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Some transactions are acknowledged; then one or two groups are written whose `fdatasync` does not come back, over
    /// as many segments as they take. Any subset of their pages survives. The log opens, has all that was acknowledged
    /// and a prefix of the rest, and goes on.
    #[test]
    fn keeps_what_was_acknowledged_and_a_prefix_of_the_rest(
        acknowledged in 1_usize..40,
        first in 10_usize..9_000,
        group in prop::collection::vec(10_usize..9_000, 0..8),
        first_is_durable in any::<bool>(),
        kept in prop::collection::vec(any::<bool>(), 64),
    ) {
        let disk = SimDisk::default();
        let log = open(&disk).unwrap();
        for n in 0..acknowledged {
            commit(&log, n, 700);
        }
        disk.hold_syncs();
        let mut outcomes = vec![start(&log, acknowledged, first)];
        disk.wait_for_held_sync();
        // These gather meanwhile: one group.
        for (n, size) in group.iter().enumerate() {
            outcomes.push(start(&log, acknowledged + 1 + n, *size));
        }
        let mut durable = acknowledged;
        if first_is_durable && !group.is_empty() {
            disk.let_one_sync_through();
            prop_assert!(matches!(outcomes[0].recv(), Ok(Outcome::Committed(_))));
            disk.wait_for_held_sync();
            durable += 1;
        }
        let mut kept = kept.into_iter().cycle();
        let cut = disk.after_power_cut(&mut || kept.next().unwrap_or(false));
        disk.release_syncs();

        let recovered = open(&cut);
        let Ok(recovered) = recovered else {
            return Err(TestCaseError::fail(format!("{:?}", recovered.err())));
        };
        let found = transactions(&recovered);
        prop_assert_eq!(&found, &(0..found.len()).collect::<Vec<_>>());
        prop_assert!(found.len() >= durable, "lost an acknowledged transaction: {:?}", found);
        commit(&recovered, found.len(), 50);
        drop(recovered);
        prop_assert_eq!(transactions(&open(&cut).unwrap()).len(), found.len() + 1);
    }
}

#[test]
fn what_was_recovered_is_made_durable_before_it_is_read() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    commit(&log, 0, 100);
    disk.hold_syncs();
    let _unanswered = start(&log, 1, 100);
    disk.wait_for_held_sync();
    // A kill: the next process finds the transaction in the page cache. Then the power fails.
    let killed = disk.killed();
    disk.release_syncs();
    let next = open(&killed).unwrap();
    assert_eq!(transactions(&next), [0, 1]);
    let cut = killed.after_power_cut(&mut || false);
    assert_eq!(transactions(&open(&cut).unwrap()), [0, 1]);
}

#[test]
fn every_segment_of_a_copied_directory_is_made_durable_before_it_is_read() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    for n in 0..300 {
        commit(&log, n, 500);
    }
    assert!(disk.list().unwrap().len() > 2, "it took several segments");
    let copy = disk.unsynced_copy();
    let next = open(&copy).unwrap();
    assert_eq!(transactions(&next).len(), 300);
    let cut = copy.after_power_cut(&mut || false);
    assert_eq!(transactions(&open(&cut).unwrap()).len(), 300);
}

/// The size of transactions 13 and 14: more than two pages (a transaction's two records are the same, which zstd sees).
const LOST: usize = 9000;

/// Transactions 10 to 12 are durable. Of 13 and 14, written at once, a power cut took one page, which is of 13: a good frame
/// lies behind a hole, and whatever is written there is as long as what was lost. Also gives the page where 14 begins.
fn a_frame_behind_a_hole(filler: usize) -> (SimDisk, usize) {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    commit(&log, 10, filler);
    commit(&log, 11, 10);
    disk.hold_syncs();
    let mut outcomes = vec![start(&log, 12, 10)];
    disk.wait_for_held_sync();
    outcomes.extend([start(&log, 13, LOST), start(&log, 14, LOST)]);
    disk.let_one_sync_through();
    disk.wait_for_held_sync();
    let mut dirty = 0;
    let cut = disk.after_power_cut(&mut || {
        dirty += 1;
        dirty != 2
    });
    disk.release_syncs();
    let bytes = cut.segment(1).contents().seen.clone();
    let begins = bytes.windows(4).rposition(|four| four == b"IRH1").unwrap();
    (cut, begins)
}

/// The same, with 14 beginning where a page does: 13 can be written anew without a page of 14 being touched.
fn a_frame_behind_a_hole_on_a_page_of_its_own() -> SimDisk {
    let mut filler = 2000;
    for _ in 0..10 {
        let (disk, begins) = a_frame_behind_a_hole(filler);
        if begins.is_multiple_of(PAGE) {
            return disk;
        }
        filler += begins.next_multiple_of(PAGE) - begins;
    }
    panic!("frames do not grow with what is in them");
}

#[test]
fn a_stale_frame_behind_the_end_is_not_met_when_the_log_has_grown_up_to_it() {
    let disk = a_frame_behind_a_hole_on_a_page_of_its_own();
    let log = open(&disk).unwrap();
    assert_eq!(transactions(&log), [10, 11, 12]);
    assert!(matches!(commit(&log, 13, LOST), Outcome::Committed(_)));
    // Killed, not closed: no mark covers what comes next.
    let log = open(&disk.copy()).unwrap();
    assert_eq!(transactions(&log), [10, 11, 12, 13]);
}

#[test]
fn a_stale_frame_is_gone_from_the_medium_before_anything_is_written_in_front_of_it() {
    let disk = a_frame_behind_a_hole_on_a_page_of_its_own();
    let log = open(&disk).unwrap();
    disk.hold_syncs();
    let _unanswered = start(&log, 13, LOST);
    disk.wait_for_held_sync();
    // The power fails again: the three pages of the new frame are written, and no other.
    let mut dirty = 0;
    let cut = disk.after_power_cut(&mut || {
        dirty += 1;
        dirty <= 3
    });
    disk.release_syncs();
    let log = open(&cut).unwrap();
    assert_eq!(transactions(&log), [10, 11, 12, 13]);
}
