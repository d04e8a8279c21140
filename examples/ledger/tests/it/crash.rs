//! Random transfers between groups, while the process is killed again and again: money is conserved, and every transfer
//! that was acknowledged is in effect exactly once, in both accounts, in its day's total and in the index.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ironhorse_ledger::schema::Total;
use ironhorse_ledger::{Audit, Ledger};

use super::process::{PATIENCE, Process};

const KILLS: u64 = 12;
const ACCOUNTS: u64 = 24;
const OPENING: i64 = 20_000;
const CURRENCIES: [&str; 2] = ["EUR", "YEN"];

/// xorshift64*: the test's only source of chance, but for the moment of each kill.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

fn currency_of(account: u64) -> &'static str {
    CURRENCIES[(account % 2) as usize]
}

/// Some cannot work: an unknown currency, not that of the account, nobody to be paid.
fn random_transfer(chance: &mut Chance, number: u64) -> String {
    let from = chance.below(ACCOUNTS);
    let to = match chance.below(12) {
        0 => "nobody".to_owned(),
        _ => format!("account-{}", chance.below(ACCOUNTS)),
    };
    let currency = match chance.below(20) {
        0 => "XXX",
        _ => currency_of(from),
    };
    let (cents, day) = (chance.below(900) + 1, chance.below(5));
    format!("transfer t{number} account-{from} {to} {currency} {cents} {day}")
}

/// What must have come of the transfers that were answered `done`.
fn expected(done: &BTreeSet<String>) -> (BTreeMap<String, i64>, Audit) {
    let mut balances: BTreeMap<String, i64> = (0..ACCOUNTS)
        .map(|account| (format!("account-{account}"), OPENING))
        .collect();
    let mut audit = Audit::default();
    for line in done {
        let words: Vec<&str> = line.split(' ').collect();
        let (from, to, currency) = (words[2], words[3], words[4]);
        let (cents, day): (i64, i32) = (words[5].parse().unwrap(), words[6].parse().unwrap());
        assert_ne!(currency, "XXX", "an unknown currency was accepted");
        let account = to
            .strip_prefix("account-")
            .map(|number| number.parse().unwrap());
        if account.map(currency_of) != Some(currency) {
            continue; // It came back.
        }
        *balances.get_mut(from).unwrap() -= cents;
        *balances.get_mut(to).unwrap() += cents;
        let total = audit.sent.entry((currency.to_owned(), day)).or_default();
        *total = Total {
            transfers: total.transfers + 1,
            cents: total.cents + cents,
        };
    }
    audit.arrived.clone_from(&audit.sent);
    for currency in CURRENCIES {
        let money = i128::from(OPENING) * i128::from(ACCOUNTS) / 2;
        audit.money.insert(currency.to_owned(), money);
        audit.on_its_way.insert(currency.to_owned(), 0);
    }
    (balances, audit)
}

/// What was asked and answered so far.
#[derive(Default)]
struct Answers {
    open: BTreeSet<String>,
    done: BTreeSet<String>,
    refused: usize,
}

impl Answers {
    fn hear(&mut self, (line, answer): (String, String)) {
        let was_open = self.open.remove(&line);
        if answer == "done" {
            self.done.insert(line);
        } else {
            assert!(answer.starts_with("refused: "), "{line}: {answer}");
            assert!(
                !self.done.contains(&line),
                "{line} was done, and now is {answer}"
            );
            self.refused += usize::from(was_open);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transfer_takes_effect_once_whenever_the_process_dies() {
    let dir = tempfile::tempdir().unwrap();
    let mut chance = Chance(0x1ED6_E500_0000_0001);
    let mut ledger = Process::spawn(dir.path());
    for currency in CURRENCIES {
        assert_eq!(ledger.ask(&format!("currency {currency}")), "done");
    }
    for account in 0..ACCOUNTS {
        let line = format!("open account-{account} {} {OPENING}", currency_of(account));
        assert_eq!(ledger.ask(&line), "done");
    }
    ledger.kill();

    let mut answers = Answers::default();
    let (mut number, mut broken_off) = (0, 0);
    for _ in 0..KILLS {
        let mut ledger = Process::spawn(dir.path());
        // What had no answer is asked again, and some of what had one: neither may take effect twice.
        let again = answers.done.iter().filter(|_| chance.below(20) == 0);
        let again: Vec<String> = again.chain(&answers.open).cloned().collect();
        let heard_before_the_kill = again.len() as u64 + chance.below(400);
        let mut heard = 0;
        let mut lines = again.into_iter();
        while heard < heard_before_the_kill {
            let line = lines.next().unwrap_or_else(|| {
                number += 1;
                random_transfer(&mut chance, number)
            });
            ledger.send(&line);
            if !answers.done.contains(&line) {
                answers.open.insert(line);
            }
            // Keeps about as many under way as the command takes on.
            if answers.open.len() > 100 {
                answers.hear(ledger.next());
                heard += 1;
            }
        }
        for answer in ledger.kill() {
            answers.hear(answer);
        }
        broken_off += answers.open.len();
    }
    assert!(broken_off > 100, "the kills met no work: {broken_off}");

    let mut ledger = Process::spawn(dir.path());
    for line in &answers.open {
        ledger.send(line);
    }
    while !answers.open.is_empty() {
        answers.hear(ledger.next());
    }
    ledger.kill();
    assert!(answers.done.len() > 1_000 && answers.refused > 20);

    let (balances, audit) = expected(&answers.done);
    let ledger = Ledger::open(dir.path()).unwrap();
    let begun = Instant::now();
    loop {
        let found = ledger.audit().await.unwrap();
        if found.on_its_way.values().all(|cents| *cents == 0) || begun.elapsed() > PATIENCE {
            assert_eq!(found, audit);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for currency in CURRENCIES {
        let mut by_balance: Vec<(i64, String)> = balances
            .iter()
            .filter(|(name, _)| currency_of(name["account-".len()..].parse().unwrap()) == currency)
            .map(|(name, cents)| (*cents, name.clone()))
            .collect();
        by_balance.sort();
        assert_eq!(
            ledger.by_balance(currency, usize::MAX).await.unwrap(),
            by_balance
        );
    }
    for (name, cents) in &balances {
        assert_eq!(
            ledger.account(name).await.unwrap().unwrap().cents,
            *cents,
            "{name}"
        );
    }
    for ((currency, day), total) in &audit.sent {
        assert_eq!(ledger.day(currency, *day).await.unwrap(), *total);
    }
    ledger.close();
}
