use super::*;

fn id(chain: &[&str]) -> WfRunId {
    let mut id = WfRunId {
        id: chain[0].to_owned(),
        parent_wf_run_id: None,
    };
    for part in &chain[1..] {
        id = WfRunId {
            id: (*part).to_owned(),
            parent_wf_run_id: Some(Box::new(id)),
        };
    }
    id
}

#[test]
fn keys_say_what_they_are() {
    for chain in [
        &["root"][..],
        &["root", "child"],
        &["root", "child", "grandchild"],
    ] {
        let run = RunKey::new("tenant", &id(chain));
        let rows = [
            (run.wf_run(), Row::WfRun),
            (
                run.thread_run(3),
                Row::ThreadRun {
                    number: 3,
                    archived: false,
                },
            ),
            (
                run.inactive_thread_run(4),
                Row::ThreadRun {
                    number: 4,
                    archived: true,
                },
            ),
            (
                run.variable(1, "x\0y"),
                Row::Variable {
                    thread: 1,
                    name: "x\0y".to_owned(),
                },
            ),
            (
                run.node_run(0, 12),
                Row::NodeRun {
                    thread: 0,
                    position: 12,
                },
            ),
            (
                run.task_run(guid("0-12")),
                Row::TaskRun { guid: guid("0-12") },
            ),
            (
                run.task_run(guid("ut-0-12-3")),
                Row::TaskRun {
                    guid: guid("ut-0-12-3"),
                },
            ),
            (
                run.checkpoint(guid("0-12"), 7),
                Row::Checkpoint {
                    guid: guid("0-12"),
                    number: 7,
                },
            ),
            (
                run.external_event("def", "g"),
                Row::ExternalEvent {
                    def: "def".to_owned(),
                    guid: "g".to_owned(),
                },
            ),
            (
                run.user_task_run(user_task("2-7")),
                Row::UserTaskRun {
                    at: user_task("2-7"),
                },
            ),
        ];
        for (key, row) in rows {
            let parsed = RunRow::parse(&key).expect("own key").expect("a run's row");
            assert_eq!(
                parsed,
                RunRow {
                    tenant: "tenant".to_owned(),
                    wf_run_id: id(chain),
                    row
                }
            );
        }
    }
}

fn user_task(text: &str) -> UserTaskAt {
    UserTaskAt::parse(text).expect("a guid")
}

fn guid(text: &str) -> TaskGuid {
    TaskGuid::parse(text).expect("a guid")
}

#[test]
fn own_rows_leave_children_out_and_positions_order_numerically() {
    let run = RunKey::new("t", &id(&["root"]));
    let child = RunKey::new("t", &id(&["root", "child"]));
    let end = match run.own_rows().end {
        std::ops::Bound::Excluded(end) => end,
        other => panic!("{other:?}"),
    };
    assert!(run.unclaimed_event("z", i64::MAX, u64::MAX)[..] < end[..]);
    assert!(child.wf_run()[..] > end[..]);
    assert!(run.node_run(0, 9)[..] < run.node_run(0, 10)[..]);
    assert!(run.task_run(guid("0-9"))[..] < run.task_run(guid("0-10"))[..]);
    assert!(
        run.task_run(guid("9-9"))[..] < run.task_run(guid("ut-0-1-0"))[..],
        "reminders come last"
    );
}

#[test]
fn only_canonical_guids_have_keys() {
    for bad in [
        "",
        "0",
        "0-",
        "-0",
        "0-1-2",
        "00-1",
        "0-01",
        "+0-1",
        "ut-0-1",
        "ut-0-1-2-3",
        "x-1",
        "0-1 ",
        "99999999999-1",
    ] {
        assert_eq!(TaskGuid::parse(bad), None, "{bad:?}");
    }
    assert_eq!(TaskGuid::parse("2-17"), Some(TaskGuid::of_node(2, 17)));
    for bad in ["", "0", "0-", "-0", "0-1-2", "00-1", "ut-0-1-2", "0-+1"] {
        assert_eq!(UserTaskAt::parse(bad), None, "{bad:?}");
    }
    let reminder = TaskGuid::of_reminder(user_task("2-17"), 3);
    assert_eq!(reminder.to_string(), "ut-2-17-3");
    assert!(reminder.is_reminder() && !guid("2-17").is_reminder());
}

#[test]
fn the_format_is_fixed() {
    let run = RunKey::new("t", &id(&["r", "c"]));
    let rows = [
        (run.wf_run(), &b"\x01"[..]),
        (run.thread_run(1), b"\x02\x80\0\0\x01"),
        (run.inactive_thread_run(1), b"\x03\x80\0\0\x01"),
        (run.variable(0, "x"), b"\x10\x80\0\0\0x\0\x01"),
        (run.node_run(1, 2), b"\x11\x80\0\0\x01\x80\0\0\x02"),
        (run.task_run(guid("1-2")), b"\x12\0\x80\0\0\x01\x80\0\0\x02"),
        (
            run.task_run(guid("ut-1-2-3")),
            b"\x12\x01\x80\0\0\x01\x80\0\0\x02\x80\0\0\x03",
        ),
        (
            run.checkpoint(guid("1-2"), 3),
            b"\x13\0\x80\0\0\x01\x80\0\0\x02\x80\0\0\x03",
        ),
        (run.node_output(1, "n"), b"\x14\x80\0\0\x01n\0\x01"),
        (run.external_event("d", "g"), b"\x15d\0\x01g\0\x01"),
        (
            run.unclaimed_event("d", 1, 2),
            b"\x16d\0\x01\x80\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02",
        ),
        (
            run.user_task_run(user_task("1-2")),
            b"\x1C\x80\0\0\x01\x80\0\0\x02",
        ),
    ];
    for (key, rest) in rows {
        assert_eq!(
            key[..],
            [&b"\x10t\0\x01r\0\x01\xF0c\0\x01"[..], rest].concat()
        );
    }
    assert_eq!(
        named(TASK_DEFS, "t", "a\0b")[..],
        *b"\x48t\0\x01a\0\xFFb\0\x01"
    );
    assert_eq!(
        wf_spec("t", "s", 1, 2)[..],
        *b"\x4At\0\x01s\0\x01\x80\0\0\x01\x80\0\0\x02"
    );
    assert_eq!(
        retired_wf_spec("t", "s", 1, 2, 3)[..],
        *b"\x4Bt\0\x01s\0\x01\x80\0\0\x01\x80\0\0\x02\x80\0\0\0\0\0\0\x03"
    );
}

#[test]
fn each_row_has_one_key() {
    let run = RunKey::new("t", &id(&["r"]));
    // Found by fuzzing. Two keys that say the same would share their index entries.
    for rest in [
        &b"\x01\0"[..],
        b"\x12\0\x80\0\0\x01\x80\0\0\x02\x01",
        b"\x12\0\x7F\xFF\xFF\xFF\x80\0\0\x02",
        b"\x12\x02\x80\0\0\x01\x80\0\0\x02",
        b"\x1C\x7F\xFF\xFF\xFF\x80\0\0\x02",
        b"\x13\x01\x80\0\0\x01\x80\0\0\x02\x7F\0\0\0\x80\0\0\x01",
    ] {
        let key = [&run.as_bytes()[..], rest].concat();
        assert!(RunRow::parse(&key).is_err(), "{rest:?}");
    }
}

mod any {
    use proptest::prelude::*;

    use super::super::*;

    /// Few letters, so that one id begins another, and the bytes that keys give a meaning to.
    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec(
            prop::sample::select(vec!['\0', '\u{1}', 'a', 'b', '\u{FF}']),
            0..4,
        )
        .prop_map(String::from_iter)
    }

    fn run() -> impl Strategy<Value = WfRunId> {
        prop::collection::vec(name(), 1..4).prop_map(|chain| {
            let parts: Vec<&str> = chain.iter().map(String::as_str).collect();
            super::id(&parts)
        })
    }

    proptest! {
        #[test]
        fn row_says_whose_it_is(
            tenant in name(), id in run(), thread in any::<i32>(), number in 0_i32.., text in name(), guid in name(),
        ) {
            let run = RunKey::new(&tenant, &id);
            let task = TaskGuid::of_node(number, number / 2);
            let rows = [
                (run.wf_run(), Row::WfRun),
                (run.thread_run(thread), Row::ThreadRun { number: thread, archived: false }),
                (run.variable(thread, &text), Row::Variable { thread, name: text.clone() }),
                (run.node_run(thread, number), Row::NodeRun { thread, position: number }),
                (run.task_run(task), Row::TaskRun { guid: task }),
                (run.checkpoint(task, thread), Row::Checkpoint { guid: task, number: thread }),
                (run.external_event(&text, &guid), Row::ExternalEvent { def: text.clone(), guid }),
            ];
            for (key, row) in rows {
                let expected = RunRow { tenant: tenant.clone(), wf_run_id: id.clone(), row };
                prop_assert_eq!(RunRow::parse(&key), Ok(Some(expected)));
            }
        }

        #[test]
        fn only_a_run_and_its_descendants_have_its_prefix(a in run(), b in run()) {
            let mut ancestors = std::iter::successors(Some(&b), |id| id.parent_wf_run_id.as_deref());
            prop_assert_eq!(
                RunKey::new("t", &b).wf_run().starts_with(RunKey::new("t", &a).as_bytes()),
                ancestors.any(|id| *id == a)
            );
        }
    }
}
