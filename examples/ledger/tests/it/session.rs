//! One session by hand: what each command answers.

use super::process::{PATIENCE, Process};

/// Money arrives soon after the answer.
fn comes_to(ledger: &mut Process, line: &str, expected: &str) {
    let begun = std::time::Instant::now();
    loop {
        let answer = ledger.ask(line);
        if answer == expected {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{line}: {answer}, not {expected}"
        );
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_session() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Process::spawn(dir.path());
    let refused = |answer: String, why: &str| {
        assert!(
            answer.starts_with("refused") && answer.contains(why),
            "{answer}"
        );
    };
    refused(
        ledger.ask("open alice EUR 100"),
        "currency \"EUR\" is unknown",
    );
    assert_eq!(ledger.ask("currency EUR"), "done");
    assert_eq!(ledger.ask("currency YEN"), "done");
    assert_eq!(ledger.ask("open alice EUR 1000"), "done");
    assert_eq!(ledger.ask("open bob EUR 5"), "done");
    assert_eq!(ledger.ask("open carol EUR 70"), "done");
    assert_eq!(ledger.ask("open dan YEN 6"), "done");
    refused(ledger.ask("open bob EUR 1"), "exists");
    refused(ledger.ask("open eve EUR -1"), "0 or more");
    refused(
        ledger.ask("transfer 1 alice bob XXX 1"),
        "\"XXX\" is unknown",
    );
    refused(ledger.ask("transfer 1 alice bob YEN 1"), "too little YEN");
    refused(
        ledger.ask("transfer 1 alice bob EUR 1001"),
        "too little EUR",
    );
    refused(ledger.ask("transfer 1 alice bob EUR 0"), "moves money");
    refused(
        ledger.ask("transfer 1 alice alice EUR 1"),
        "another account",
    );
    refused(ledger.ask("transfer 1 alice bob EUR much"), "not a number");
    refused(ledger.ask("steal everything"), "not a command");
    // Three times the same transfer is one.
    for _ in 0..3 {
        assert_eq!(ledger.ask("transfer 1 alice bob EUR 300 7"), "done");
    }
    refused(
        ledger.ask("transfer 1 alice bob EUR 301 7"),
        "another transfer",
    );
    assert_eq!(ledger.ask("transfer 2 bob carol EUR 5 7"), "done");
    assert_eq!(ledger.ask("transfer 1 carol alice EUR 9 8"), "done");
    comes_to(&mut ledger, "balances EUR", "carol 66, bob 300, alice 709");
    assert_eq!(ledger.ask("balances EUR 2"), "carol 66, bob 300");
    assert_eq!(ledger.ask("balances YEN"), "dan 6");
    assert_eq!(ledger.ask("account bob"), "EUR 300");
    refused(ledger.ask("account eve"), "no such account");
    comes_to(&mut ledger, "day EUR 7", "2 305");
    comes_to(&mut ledger, "day EUR 8", "1 9");
    // Nobody there, or not in this currency: the money comes back.
    assert_eq!(ledger.ask("transfer 3 alice eve EUR 700 7"), "done");
    assert_eq!(ledger.ask("transfer 4 bob dan EUR 300 7"), "done");
    comes_to(&mut ledger, "balances EUR", "carol 66, bob 300, alice 709");
    assert_eq!(ledger.ask("day EUR 7"), "2 305");
    ledger.end();
    let mut again = Process::spawn(dir.path());
    assert_eq!(again.ask("balances EUR"), "carol 66, bob 300, alice 709");
    assert_eq!(
        again.ask("transfer 1 alice bob EUR 300 7"),
        "done",
        "it is still the same one"
    );
    assert_eq!(again.ask("balances EUR"), "carol 66, bob 300, alice 709");
    again.end();
}
