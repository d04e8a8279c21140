//! The contract of every log, on a real broker.

use std::sync::Arc;

use ironhorse_wal_kafka::{KafkaLog, Options, testing};
use wal::Log;

fn fresh(bootstrap: &str, alternate: bool) -> Arc<dyn Log> {
    let options = Options {
        alternate,
        ..testing::options(bootstrap, 13, 1)
    };
    KafkaLog::open(options).unwrap()
}

#[test]
fn it_is_kept() {
    let Some(bootstrap) = testing::shared() else {
        return;
    };
    wal::contract::check(&|| fresh(&bootstrap, true));
}

#[test]
fn it_is_kept_with_one_transactional_id_for_each_writer() {
    let Some(bootstrap) = testing::shared() else {
        return;
    };
    wal::contract::check(&|| fresh(&bootstrap, false));
}
