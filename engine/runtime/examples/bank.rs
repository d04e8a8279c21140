//! A bank ledger on the runtime: accounts on different groups, transfers between them, exactly once.
//!
//! It shares nothing with workflows: the layer below is a general replicated state store.
//!
//! `cargo run --example bank`

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use index::{Family, MemoryBase, NoIndexes, Schema, StoreError};
use ironhorse_runtime::{
    Application, Clock, Context, Engine, EngineOptions, Entry, GroupSetup, Rejection, RequestId,
    Route, Timer, Waiter,
};
use wal::GroupId;
use wal::memory::MemoryLog;

/// Accounts by name, in cents. A transfer debits here and credits, by message, in the group of the other account.
struct Bank {
    route: Route,
}

/// `deposit NAME CENTS` or `transfer FROM TO CENTS`, as text: a real application would use a schema.
fn words(payload: &Bytes) -> Result<Vec<String>, Rejection> {
    let text =
        std::str::from_utf8(payload).map_err(|_| Rejection::invalid("the command is not text"))?;
    Ok(text.split(' ').map(str::to_owned).collect())
}

fn balance(context: &Context<'_>, account: &str) -> Result<i64, StoreError> {
    let raw = context.get(Family::State, account.as_bytes())?;
    Ok(raw
        .and_then(|raw| raw[..].try_into().ok())
        .map_or(0, i64::from_be_bytes))
}

fn set(context: &mut Context<'_>, account: &str, cents: i64) -> Result<(), StoreError> {
    let key = Bytes::copy_from_slice(account.as_bytes());
    context.put(
        Family::State,
        key,
        Bytes::copy_from_slice(&cents.to_be_bytes()),
    )
}

fn amount(word: Option<&String>) -> Result<i64, Rejection> {
    let cents = word
        .and_then(|word| word.parse().ok())
        .filter(|cents| *cents > 0);
    cents.ok_or_else(|| Rejection::invalid("the amount must be a positive number of cents"))
}

impl Application for Bank {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(NoIndexes)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        let words = words(payload)?;
        match words.first().map(String::as_str) {
            Some("deposit") if words.len() == 3 => {
                let total = balance(context, &words[1])? + amount(words.get(2))?;
                set(context, &words[1], total)?;
            }
            Some("transfer") if words.len() == 4 => {
                let cents = amount(words.get(3))?;
                let left = balance(context, &words[1])? - cents;
                if left < 0 {
                    return Err(Rejection::precondition(format!(
                        "{} has too little money",
                        words[1]
                    )));
                }
                set(context, &words[1], left)?;
                let credit = Bytes::from(format!("{} {cents}", words[2]));
                context.send(self.route.group_of(words[2].as_bytes()), credit);
            }
            _ => {
                return Err(Rejection::invalid(
                    "deposit NAME CENTS, or transfer FROM TO CENTS",
                ));
            }
        }
        Ok(Bytes::from_static(b"done"))
    }

    fn message(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<(), Rejection> {
        let words = words(payload)?;
        let cents = amount(words.get(1))?;
        let total = balance(context, &words[0])? + cents;
        Ok(set(context, &words[0], total)?)
    }

    fn timer(&self, _context: &mut Context<'_>, _timer: &Timer) -> Result<(), Rejection> {
        Ok(())
    }

    fn claim(
        &self,
        _: &mut Context<'_>,
        _: &Entry,
        _: &Waiter,
    ) -> Result<Option<Bytes>, Rejection> {
        Ok(None)
    }
}

struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the shell around the deterministic core tells the time"
    )]
    fn now_ms(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as i64)
    }
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "an example prints")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    const GROUPS: u16 = 3;
    const ACCOUNTS: usize = 10;
    const TRANSFERS: usize = 500;
    let route = Route::new(GROUPS);
    let setup = |id| GroupSetup {
        id,
        app: Arc::new(Bank { route }),
        base: Arc::new(MemoryBase::new()),
    };
    let bank = Engine::start(
        Arc::new(MemoryLog::new()),
        Arc::new(SystemClock),
        setup(GroupId::METADATA),
        route.all().map(setup).collect(),
        &EngineOptions::default(),
    )?;
    let mut requests = (1..).map(RequestId);
    for n in 0..ACCOUNTS {
        let account = format!("account-{n}");
        let command = Bytes::from(format!("deposit {account} 10000"));
        bank.submit(
            route.group_of(account.as_bytes()),
            requests.next().expect("endless"),
            command,
        )
        .await?;
    }
    for n in 0..TRANSFERS {
        let (from, to) = (
            format!("account-{}", n % ACCOUNTS),
            format!("account-{}", (n * 7 + 3) % ACCOUNTS),
        );
        let command = Bytes::from(format!("transfer {from} {to} {}", n % 100 + 1));
        bank.submit(
            route.group_of(from.as_bytes()),
            requests.next().expect("endless"),
            command,
        )
        .await?;
    }
    // Stopping lets every message arrive.
    bank.stop();
    let mut total = 0;
    for n in 0..ACCOUNTS {
        let account = format!("account-{n}");
        let reader = bank
            .reader(route.group_of(account.as_bytes()))
            .ok_or("no such group")?;
        let raw = reader
            .get(Family::State, account.as_bytes())?
            .ok_or("an account is missing")?;
        let cents = i64::from_be_bytes(raw[..].try_into()?);
        println!("{account}: {cents}");
        total += cents;
    }
    println!("total: {total}");
    assert_eq!(total, 10_000 * ACCOUNTS as i64, "money was made or lost");
    Ok(())
}
