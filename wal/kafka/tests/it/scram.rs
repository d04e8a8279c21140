//! Users and passwords.

use ironhorse_wal_kafka::{KafkaLog, Options, Sasl, Security, testing};
use wal::{Outcome, WalError};

use crate::owner::{CHANGES, append, commit, record, take_over};

fn options(brokers: &testing::Brokers, (user, password): (&str, &str)) -> Options {
    let sasl = Sasl {
        mechanism: "SCRAM-SHA-256".to_owned(),
        user: user.to_owned(),
        password: password.to_owned(),
    };
    Options {
        security: Security {
            tls: None,
            sasl: Some(sasl),
        },
        ..testing::options(&brokers.scram(), 2, 1)
    }
}

#[test]
fn a_user_with_a_password_is_served_and_others_are_told_why_not() {
    let Some(brokers) = testing::shared_broker() else {
        return;
    };
    let log = KafkaLog::open(options(brokers, testing::USER)).unwrap();
    append(&log, "1").unwrap();
    let (mut writer, _) = take_over(&log);
    let outcome = commit(&mut *writer, vec![(CHANGES, record("1", ""))]);
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    assert_eq!(take_over(&log).1.len(), 1);

    let wrong = options(brokers, (testing::USER.0, "wrong"));
    let shown = format!("{wrong:?}");
    assert!(!shown.contains("wrong\""), "a password is shown: {shown}");
    let error = refusal(wrong);
    assert!(error.contains("check user, password"), "{error}");
    let error = refusal(options(brokers, testing::STRANGER));
    assert!(error.contains("grant "), "{error}");
}

fn refusal(options: Options) -> String {
    match KafkaLog::open(options) {
        Err(WalError::Broker(text)) => text,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was let in"),
    }
}
