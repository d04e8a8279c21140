//! Power cuts: what was not synced may be lost page by page, in any combination (SIGKILL tests none of this: the page
//! cache survives it).

use proptest::prelude::*;

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
