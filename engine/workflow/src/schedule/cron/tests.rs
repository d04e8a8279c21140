use super::*;

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("a time").as_millisecond()
}

/// The next times after one, in UTC.
fn next(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let times = Times::new(expression, zone).expect("an expression");
    let mut at = ms(after);
    let mut found = Vec::new();
    for _ in 0..count {
        let Some(next) = times.next(at) else { break };
        assert!(next > at, "{expression}");
        at = next;
        let time = Timestamp::from_millisecond(at).expect("a time");
        found.push(time.strftime("%Y-%m-%dT%H:%M").to_string());
    }
    found
}

#[test]
fn five_fields_and_nothing_else() {
    for bad in [
        "",
        "* * * *",
        "0 0 * * * *",
        "@daily",
        "*/60 * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * * SUN-TUE",
        "* * ? * *",
        "* * L * *",
        "* * 15W * *",
        "* * * * 5#2",
        "1, * * * *",
        ",1 * * * *",
        "+1 * * * *",
        "-1 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "0 0 * * * | 1 1 * * *",
        "MON * * * *",
        "* * * JANUARY *",
        "0,٣ * * * *",
    ] {
        assert!(Times::new(bad, "UTC").is_err(), "{bad:?} was accepted");
    }
    let why = Times::new("5-1 * * * *", "UTC").err().expect("refused");
    assert!(why.contains("minute") && why.contains("5-1"), "{why}");
    assert!(Times::new("* * * * *", "Nowhere/At_All").is_err());
    assert!(is_time_zone("Europe/Berlin") && !is_time_zone("Berlin"));
}

#[test]
fn the_forms_mean_what_they_say() {
    let after = "2026-01-01T00:00:30Z";
    let cases: [(&str, &[&str]); 12] = [
        ("* * * * *", &["2026-01-01T00:01", "2026-01-01T00:02"]),
        (
            "  */15  *  *  * * ",
            &["2026-01-01T00:15", "2026-01-01T00:30"],
        ),
        ("/20 * * * *", &["2026-01-01T00:20", "2026-01-01T00:40"]),
        ("50/5 * * * *", &["2026-01-01T00:50", "2026-01-01T00:55"]),
        (
            "10-30/10 5 * * *",
            &["2026-01-01T05:10", "2026-01-01T05:20"],
        ),
        ("0 0 1 feb-mar *", &["2026-02-01T00:00", "2026-03-01T00:00"]),
        // 2026-01-02 is a Friday.
        (
            "0 9 * * FRI-SUN",
            &[
                "2026-01-02T09:00",
                "2026-01-03T09:00",
                "2026-01-04T09:00",
                "2026-01-09T09:00",
            ],
        ),
        ("0 9 * * 0-1", &["2026-01-04T09:00", "2026-01-05T09:00"]),
        ("0 9 * * 7", &["2026-01-04T09:00", "2026-01-11T09:00"]),
        ("0 0 29 2 *", &["2028-02-29T00:00"]),
        ("0 0 31 2 *", &[]),
        (
            "0 0 */2 * 1",
            &[
                "2026-01-03T00:00",
                "2026-01-05T00:00",
                "2026-01-07T00:00",
                "2026-01-09T00:00",
                "2026-01-11T00:00",
                "2026-01-12T00:00",
            ],
        ),
    ];
    for (expression, expected) in cases {
        assert_eq!(
            next(expression, "UTC", after, expected.len().max(1)),
            expected,
            "{expression}"
        );
    }
    // spec 05-43: both day fields restricted: either.
    assert_eq!(
        next("0 0 1 * 1", "UTC", "2026-01-29T00:00:00Z", 3),
        ["2026-02-01T00:00", "2026-02-02T00:00", "2026-02-09T00:00"]
    );
    // Unrestricted by any spelling: only the other counts.
    assert_eq!(
        next("0 0 1 * */1", "UTC", "2026-01-29T00:00:00Z", 2),
        ["2026-02-01T00:00", "2026-03-01T00:00"]
    );
}

#[test]
fn clocks_that_are_set() {
    // Berlin: on 2026-03-29 02:00 becomes 03:00; on 2026-10-25 03:00 becomes 02:00.
    assert_eq!(
        next("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 2),
        ["2026-03-28T01:30", "2026-03-30T00:30"]
    );
    assert_eq!(
        next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30", "2026-10-26T01:30"]
    );
    assert_eq!(
        next("30 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 4),
        [
            "2026-10-24T23:30",
            "2026-10-25T00:30",
            "2026-10-25T01:30",
            "2026-10-25T02:30"
        ]
    );
    // Between the two passes through the hour, too.
    assert_eq!(
        next("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", 2),
        ["2026-10-25T01:00", "2026-10-25T01:30"]
    );
    assert_eq!(
        next("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3),
        ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"]
    );
}
