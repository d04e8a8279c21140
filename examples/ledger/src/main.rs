//! `ledger DIR`: commands from standard input, one a line; an answer a line. See [`HELP`].

use std::fmt::Display;
use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ironhorse_ledger::Ledger;
use ironhorse_ledger::book::{Command, Open};
use ironhorse_ledger::schema::{Account, Transfer};
use tokio::task::JoinSet;

const HELP: &str = "ledger DIR: a ledger in the directory DIR. On standard input, one a line:
  currency CODE                          make a currency known
  open NAME CODE CENTS                   open an account with money from outside
  transfer ID FROM TO CODE CENTS [DAY]   move money, once an ID (DAY: days since 1970; today, if not given)
  account NAME                           its currency and balance
  balances CODE [LIMIT]                  accounts by balance, poorest first
  day CODE DAY                           number and sum of the day's transfers
  audit                                  add everything up
Transfers run side by side; everything else waits for the lines before it.";

/// Transfers under way at a time.
const UNDER_WAY: usize = 128;

/// Executes one line; the text is the answer.
async fn answer(ledger: &Ledger, line: &str) -> Result<String, String> {
    fn text(error: impl Display) -> String {
        error.to_string()
    }
    fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
        word.parse()
            .map_err(|_| format!("{word:?} is not a number that fits"))
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let command = match words[..] {
        ["currency", code] => Command::Currency(code.to_owned()),
        ["open", name, currency, cents] => Command::Open(Open {
            name: name.to_owned(),
            account: Some(Account {
                currency: currency.to_owned(),
                cents: number(cents)?,
            }),
        }),
        ["transfer", id, from, to, currency, cents, ref day @ ..] if day.len() < 2 => {
            Command::Transfer(Transfer {
                id: id.to_owned(),
                from: from.to_owned(),
                to: to.to_owned(),
                currency: currency.to_owned(),
                cents: number(cents)?,
                day: day.first().map(|day| number(day)).transpose()?,
                returned: false,
            })
        }
        ["account", name] => {
            let account = ledger.account(name).await.map_err(text)?;
            let account = account.ok_or_else(|| "no such account".to_owned())?;
            return Ok(format!("{} {}", account.currency, account.cents));
        }
        ["balances", currency, ref limit @ ..] if limit.len() < 2 => {
            let limit = limit
                .first()
                .map_or(Ok(usize::MAX), |limit| number(limit))?;
            let found = ledger.by_balance(currency, limit).await.map_err(text)?;
            let found: Vec<String> = found
                .into_iter()
                .map(|(cents, name)| format!("{name} {cents}"))
                .collect();
            return Ok(found.join(", "));
        }
        ["day", currency, day] => {
            let total = ledger.day(currency, number(day)?).await.map_err(text)?;
            return Ok(format!("{} {}", total.transfers, total.cents));
        }
        ["audit"] => return Ok(format!("{:?}", ledger.audit().await.map_err(text)?)),
        _ => return Err("not a command".to_owned()),
    };
    ledger
        .execute(command)
        .await
        .map(|()| "done".to_owned())
        .map_err(text)
}

#[allow(clippy::print_stdout, reason = "answers go to standard output")]
fn say(line: &str, answer: Result<String, String>) {
    match answer {
        Ok(answer) => println!("{line}: {answer}"),
        Err(why) => println!("{line}: refused: {why}"),
    }
}

async fn run(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let ledger = Arc::new(Ledger::open(dir)?);
    let mut under_way = JoinSet::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let transfer = line.starts_with("transfer ");
        while under_way.len() >= UNDER_WAY || !transfer && !under_way.is_empty() {
            under_way.join_next().await.transpose()?;
        }
        if transfer {
            let ledger = Arc::clone(&ledger);
            under_way.spawn(async move { say(&line, answer(&ledger, &line).await) });
        } else {
            say(&line, answer(&ledger, &line).await);
        }
    }
    while under_way.join_next().await.transpose()?.is_some() {}
    if let Some(ledger) = Arc::into_inner(ledger) {
        ledger.close();
    }
    Ok(())
}

#[tokio::main]
#[allow(clippy::print_stderr, reason = "a command says why it fails")]
async fn main() -> ExitCode {
    let dir = match &std::env::args_os().skip(1).collect::<Vec<_>>()[..] {
        [dir] if dir != "--help" => dir.clone(),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(Path::new(&dir)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ledger: {error}");
            ExitCode::FAILURE
        }
    }
}
