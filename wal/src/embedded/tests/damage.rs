//! Files that were cut off, flipped, zeroed, swapped, lost or put there by somebody else: each is refused with file and
//! offset, or is recovered as `docs/formats.md` says; nothing acknowledged is lost silently.

use std::collections::BTreeMap;

use super::*;
use crate::embedded::segments::name;
use crate::embedded::{End, LogFiles};

/// A log of several segments, closed in good order, so that its last mark is a witness of all.
fn closed() -> (SimDisk, Vec<usize>) {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut n = 0;
    while disk.list().unwrap().len() < 4 {
        commit(&log, n, 500);
        n += 1;
    }
    log.close();
    (disk, (0..n).collect())
}

/// Opens the log and says what was refused, or that nothing is lost. Tools must say the same beforehand, and opening
/// something that is refused must not change it.
fn refusal(disk: &SimDisk, all: &[usize]) -> Option<String> {
    let disk = disk.killed();
    let reported = LogFiles::on_disk(&disk)
        .and_then(|files| files.walk(&mut |_| std::ops::ControlFlow::Continue(())));
    let before = disk.contents();
    match open(&disk) {
        Ok(log) => {
            assert_eq!(transactions(&log), all, "lost without a word");
            assert!(
                matches!(reported, Ok(End::Clean(_) | End::Torn(_))),
                "{reported:?}"
            );
            None
        }
        Err(error @ (WalError::Corrupt(_) | WalError::Incompatible(_))) => {
            assert!(
                matches!(
                    reported,
                    Err(WalError::Corrupt(_)) | Ok(End::Damaged(..) | End::Incompatible(..))
                ),
                "{error}, but {reported:?}"
            );
            assert_eq!(disk.contents(), before, "changed although refused");
            Some(error.to_string())
        }
        Err(other) => panic!("{other}"),
    }
}

#[track_caller]
fn refused(disk: &SimDisk, all: &[usize], words: &[&str]) {
    let text = refusal(disk, all).expect("refused");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[test]
fn a_segment_that_was_cut_off_anywhere_is_refused() {
    let (disk, all) = closed();
    for id in [1, 2, 3] {
        let end = disk.segment(id).last_byte() + 1;
        // Many in the first frames, all in the last one, and some in between.
        let lengths = (0..400)
            .step_by(7)
            .chain((400..end).step_by(997))
            .chain(end - 60..end);
        for len in lengths {
            let cut = disk.copy();
            cut.segment(id).contents().seen.truncate(len);
            refused(&cut, &all, &[&name(id), "offset"]);
        }
    }
}

#[test]
fn flipped_bits_are_refused_or_harmless() {
    let (disk, all) = closed();
    let mut harmless = 0;
    for id in [1, 2, 3] {
        let end = disk.segment(id).last_byte() + 1;
        // The last frame is the mark: it has no witness, and nothing in it.
        let end = if id == 3 { end - 48 } else { end };
        for at in (0..200)
            .step_by(3)
            .chain((200..end).step_by(611))
            .chain(end - 60..end)
        {
            let flipped = disk.copy();
            flipped.segment(id).contents().seen[at] ^= 1 << (at % 8);
            match refusal(&flipped, &all) {
                Some(text) => assert!(
                    text.contains(&name(id)) && text.contains("offset"),
                    "{text}"
                ),
                None => harmless += 1,
            }
        }
    }
    assert!(
        harmless < 30,
        "only padding may change unnoticed: {harmless}"
    );
}

#[test]
fn zeros_in_any_page_are_refused() {
    let (disk, all) = closed();
    for id in [1, 2, 3] {
        let end = disk.segment(id).last_byte() - 60;
        for page in 0..end.div_ceil(4096) {
            let zeroed = disk.copy();
            let to = end.min((page + 1) * 4096);
            zeroed.segment(id).contents().seen[page * 4096..to].fill(0);
            refused(&zeroed, &all, &[&name(id), "offset"]);
        }
        let zeroed = disk.copy();
        zeroed.segment(id).contents().seen.fill(0);
        refused(&zeroed, &all, &[&name(id), "offset 0"]);
    }
}

#[test]
fn swapped_foreign_and_lost_files_are_refused() {
    let (disk, all) = closed();
    let (other, _) = closed();
    for (a, b) in [(1, 2), (2, 3), (1, 3)] {
        let swapped = disk.copy();
        let (of_a, of_b) = (
            swapped.segment(a).contents().seen.clone(),
            swapped.segment(b).contents().seen.clone(),
        );
        swapped.segment(a).contents().seen = of_b;
        swapped.segment(b).contents().seen = of_a;
        refused(&swapped, &all, &[&name(a), "offset 0", "mixed up"]);
    }
    for id in [1, 2, 3] {
        let foreign = disk.copy();
        foreign.segment(id).contents().seen = other.segment(id).contents().seen.clone();
        // The first segment is good in itself; then the next one does not fit.
        refused(&foreign, &all, &[".log", "offset", "another log"]);
        let text = disk.copy();
        text.segment(id).contents().seen = b"not a segment at all".repeat(100);
        refused(&text, &all, &[&name(id), "offset 0"]);
        let lost = disk.copy();
        lost.remove(&name(id)).unwrap();
        refused(&lost, &all, &[&name(id), "missing"]);
    }
}

#[test]
fn what_only_a_store_can_know_is_refused_if_it_says_so_and_nothing_is_changed() {
    let (disk, all) = closed();
    let end = open(&disk.copy()).unwrap().end();
    // The last segment with all that was in it is lost: the log alone cannot tell.
    for damage in [
        |disk: &SimDisk| disk.remove(&name(3)).unwrap(),
        |disk: &SimDisk| disk.segment(3).contents().seen.fill(0),
        |disk: &SimDisk| {
            let mark = disk.segment(3).last_byte();
            disk.segment(3).contents().seen[mark] ^= 1;
        },
        |disk: &SimDisk| {
            for id in [1, 2, 3] {
                disk.remove(&name(id)).unwrap();
            }
        },
    ] {
        let damaged = disk.copy();
        // Without the one that was made ahead, whose being there tells something.
        damaged.remove(&name(4)).unwrap();
        damage(&damaged);
        let before = damaged.contents();
        let options = Options {
            durable: end,
            ..options()
        };
        match EmbeddedLog::on_disk(Box::new(damaged.clone()), options) {
            Err(WalError::Corrupt(text)) => assert!(text.contains("a store has applied"), "{text}"),
            other => panic!("{:?}", other.err()),
        }
        assert_eq!(damaged.contents(), before);
    }
    let options = Options {
        durable: end,
        ..options()
    };
    let log = EmbeddedLog::on_disk(Box::new(disk.copy()), options).unwrap();
    assert_eq!(transactions(&log), all);
}

#[test]
fn the_note_of_what_was_dropped_is_checked() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut last = Position::START;
    for n in 0..1000 {
        last = commit_to(&log, CHANGES, n);
    }
    for n in 0..600 {
        commit_to(&log, Partition::changelog(GroupId(1)), n);
    }
    log.trim(CHANGES, last);
    wait_until("dropped", || !disk.list().unwrap().contains(&name(1)));
    log.close();
    let note = |disk: &SimDisk| disk.file("dropped").expect("a note");
    let len = note(&disk).contents().seen.len();
    for at in 0..len - 8 {
        let flipped = disk.killed();
        note(&flipped).contents().seen[at] ^= 4;
        let error = open(&flipped).err().expect("refused");
        assert!(error.to_string().contains("dropped"), "{error}");
    }
    let lost = disk.killed();
    lost.remove("dropped").unwrap();
    assert!(matches!(open(&lost), Err(WalError::Corrupt(text)) if text.contains(&name(1))));
    // A note of another log, that says that more was dropped: what is there is not thrown away.
    let mut files: BTreeMap<String, Vec<u8>> = disk.contents();
    files.retain(|name, _| name != "dropped");
    let first = *files
        .keys()
        .filter_map(|file| crate::embedded::segments::number(file))
        .collect::<Vec<_>>()
        .first()
        .unwrap();
    let foreign = disk.killed();
    let dropped = crate::embedded::dropped::Dropped {
        segment: first,
        last: Some(5),
        run: Some(77),
        positions: BTreeMap::new(),
    };
    crate::embedded::dropped::write(&foreign, &dropped).unwrap();
    assert!(matches!(open(&foreign), Err(WalError::Corrupt(text)) if text.contains("offset 0")));
    assert!(foreign.list().unwrap().contains(&name(first)));
}

#[test]
fn other_files_are_left_alone_and_unfinished_ones_are_removed() {
    let (disk, all) = closed();
    for file in [
        "notes.txt",
        "1.log",
        "000000000000000X.log",
        "0000000000000009.new",
        "dropped.new",
    ] {
        disk.open(file, true)
            .unwrap()
            .write_at(0, b"something")
            .unwrap();
    }
    let log = open(&disk).unwrap();
    assert_eq!(transactions(&log), all);
    drop(log);
    let left = disk.list().unwrap();
    for kept in ["notes.txt", "1.log", "000000000000000X.log"] {
        assert!(left.iter().any(|name| name == kept), "{left:?}");
    }
    assert!(!left.iter().any(|name| name.contains(".new")), "{left:?}");
}
