//! A group's base is lost, and the engine on the log on disk begins from a RocksDB checkpoint that was shipped before.

use std::path::Path;

use index::{Checkpoints, Shipment};
use index_rocks::{RocksBase, RocksSink, Shared};
use ironhorse_ledger::book::{Command, Open};
use ironhorse_ledger::schema::{Account, Transfer};
use ironhorse_ledger::{Audit, GROUPS, Ledger};

const ACCOUNTS: u32 = 16;

async fn open(ledger: &Ledger) {
    ledger
        .execute(Command::Currency("EUR".to_owned()))
        .await
        .unwrap();
    for n in 0..ACCOUNTS {
        let account = Account {
            currency: "EUR".to_owned(),
            cents: 10_000,
        };
        let open = Open {
            name: format!("account-{n}"),
            account: Some(account),
        };
        ledger.execute(Command::Open(open)).await.unwrap();
    }
}

async fn transfer(ledger: &Ledger, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let transfer = Transfer {
            id: format!("t{n}"),
            from: format!("account-{}", n % ACCOUNTS),
            to: format!("account-{}", (n * 7 + 1) % ACCOUNTS),
            currency: "EUR".to_owned(),
            cents: i64::from(n % 90) + 1,
            day: Some((n % 3) as i32),
            ..Transfer::default()
        };
        // Some pay themselves, which is refused.
        let _ = ledger.execute(Command::Transfer(transfer)).await;
    }
}

/// What is in the ledger when nothing is on its way any more.
async fn at_rest(ledger: &Ledger) -> Audit {
    for _ in 0..5_000 {
        let audit = ledger.audit().await.unwrap();
        if audit.on_its_way.values().all(|cents| *cents == 0) {
            return audit;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("money is on its way for ever");
}

/// Ships the base in a directory to another, as to a new replica.
fn ship(from: &Path, to: &Path) {
    let shared = Shared::new(1 << 20, 1 << 20);
    let base = RocksBase::open(from, &shared).unwrap();
    let source = base.checkpoint().unwrap();
    let sink = Box::new(RocksSink::new(to, &shared));
    let mut shipment = Shipment::begin(source, sink).unwrap();
    while shipment.step(1 << 12).unwrap() {}
    shipment.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_begins_from_shipped_bases_and_the_log_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    open(&ledger).await;
    transfer(&ledger, 0..200).await;
    at_rest(&ledger).await;
    ledger.close();
    let groups = dir.path().join("groups");
    let shipped = dir.path().join("shipped");
    std::fs::create_dir(&shipped).unwrap();
    for group in 0..GROUPS {
        let name = group.to_string();
        ship(&groups.join(&name), &shipped.join(&name));
    }
    // Much comes after, and is written back; then two of the disks are lost.
    let ledger = Ledger::open(dir.path()).unwrap();
    transfer(&ledger, 200..500).await;
    let expected = at_rest(&ledger).await;
    let balances = ledger.by_balance("EUR", usize::MAX).await.unwrap();
    ledger.close();
    for group in ["1", "3"] {
        std::fs::remove_dir_all(groups.join(group)).unwrap();
        std::fs::rename(shipped.join(group), groups.join(group)).unwrap();
    }
    let ledger = Ledger::open(dir.path()).unwrap();
    let found = ledger.audit().await.unwrap();
    assert_eq!(found.index_errors, 0);
    assert_eq!(found, expected);
    assert_eq!(found.money["EUR"], i128::from(ACCOUNTS) * 10_000);
    assert_eq!(
        ledger.by_balance("EUR", usize::MAX).await.unwrap(),
        balances
    );
    // What was executed before is known, and it goes on.
    transfer(&ledger, 0..500).await;
    assert_eq!(at_rest(&ledger).await, expected, "a transfer was repeated");
    transfer(&ledger, 500..520).await;
    assert_ne!(at_rest(&ledger).await, expected);
    ledger.close();
}
