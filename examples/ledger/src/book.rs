//! Step 2: what happens. Pure functions of the state, the input and its record time.
//!
//! ```text
//!   Transfer ─► group of `from`: debit ──Credit─► group of `to`: credit ──Arrived─► group of the day: total
//!                      ▲                                  │
//!                      └───────────── Return ─────────────┘  there is no such account
//! ```
//! Each arrow is a message: part of the transaction that sends it, executed exactly once where it arrives.

use std::sync::Arc;

use bytes::Bytes;
use index::{Family, Schema};
use prost::Message;
use runtime::{Application, Context, Rejection, Route};
use wal::GroupId;

use crate::schema::{self, Account, ByBalance, Total, Transfer};

/// What a client asks for.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Command {
    /// Adds a currency, to the table that every group can read. It may exist.
    #[prost(string, tag = "1")]
    Currency(String),
    /// Opens an account with money from outside.
    #[prost(message, tag = "2")]
    Open(Open),
    /// Moves money. The same id again is answered like the first time, and moves nothing.
    #[prost(message, tag = "3")]
    Transfer(Transfer),
}

/// See [`Command::Open`].
#[derive(Clone, PartialEq, Message)]
pub struct Open {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Currency and money.
    #[prost(message, optional, tag = "2")]
    pub account: Option<Account>,
}

/// What one group tells another.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Told {
    #[prost(message, tag = "11")]
    Credit(Transfer),
    #[prost(message, tag = "12")]
    Return(Transfer),
    #[prost(message, tag = "13")]
    Arrived(Transfer),
}

/// A command in the log.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Envelope {
    #[prost(oneof = "Command", tags = "1, 2, 3")]
    pub(crate) command: Option<Command>,
}

/// A message in the log.
#[derive(Clone, PartialEq, Message)]
struct Letter {
    #[prost(oneof = "Told", tags = "11, 12, 13")]
    told: Option<Told>,
}

/// The application: the same for all groups. The metadata group keeps the currencies, the others the rest.
pub struct Book {
    /// Which group is home of what.
    pub route: Route,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const DONE: Bytes = Bytes::from_static(b"done");

fn read<T: Message + Default>(context: &Context<'_>, key: &[u8]) -> Result<Option<T>, Rejection> {
    let raw = context.get(Family::State, key)?;
    raw.map(T::decode)
        .transpose()
        .map_err(|error| Rejection::internal(format!("stored row: {error}")))
}

fn write(context: &mut Context<'_>, key: Bytes, row: &impl Message) -> Result<(), Rejection> {
    Ok(context.put(Family::State, key, Bytes::from(row.encode_to_vec()))?)
}

/// Adds to a balance; `false`, and nothing is written, if there is no such account or it would not hold the sum.
fn add(
    context: &mut Context<'_>,
    name: &str,
    currency: &str,
    cents: i64,
) -> Result<bool, Rejection> {
    let key = schema::account(name);
    let Some(mut account) = read::<Account>(context, &key)? else {
        return Ok(false);
    };
    match account.cents.checked_add(cents) {
        Some(sum) if sum >= 0 && account.currency == currency => account.cents = sum,
        _ => return Ok(false),
    }
    write(context, key, &account)?;
    Ok(true)
}

fn known(context: &Context<'_>, currency: &str) -> Result<(), Rejection> {
    match context.global().get(&schema::currency(currency)) {
        Some(_) => Ok(()),
        None => Err(Rejection::not_found(format!(
            "currency {currency:?} is unknown"
        ))),
    }
}

impl Book {
    fn tell(context: &mut Context<'_>, to: GroupId, told: Told) {
        let letter = Letter { told: Some(told) };
        context.send(to, Bytes::from(letter.encode_to_vec()));
    }

    fn open(context: &mut Context<'_>, open: Open) -> Result<Bytes, Rejection> {
        let account = open
            .account
            .filter(|account| account.cents >= 0)
            .ok_or_else(|| Rejection::invalid("money: an account opens with 0 or more"))?;
        known(context, &account.currency)?;
        let key = schema::account(&open.name);
        if context.get(Family::State, &key)?.is_some() {
            return Err(Rejection::already_exists(format!(
                "account {:?} exists",
                open.name
            )));
        }
        write(context, key, &account)?;
        Ok(DONE)
    }

    fn transfer(
        &self,
        context: &mut Context<'_>,
        mut transfer: Transfer,
    ) -> Result<Bytes, Rejection> {
        let key = schema::transfer(&transfer.from, &transfer.id);
        if let Some(before) = read::<Transfer>(context, &key)? {
            let same = before.to == transfer.to
                && (before.cents, before.currency) == (transfer.cents, transfer.currency);
            return if same {
                Ok(DONE)
            } else {
                Err(Rejection::already_exists("id: another transfer has it"))
            };
        }
        if transfer.cents <= 0 || transfer.from == transfer.to {
            return Err(Rejection::invalid(
                "a transfer moves money to another account",
            ));
        }
        known(context, &transfer.currency)?;
        if !add(context, &transfer.from, &transfer.currency, -transfer.cents)? {
            let Transfer { from, currency, .. } = &transfer;
            return Err(Rejection::precondition(format!(
                "{from:?} has too little {currency}"
            )));
        }
        transfer.returned = false;
        let today = context.now_ms().div_euclid(DAY_MS) as i32;
        transfer.day.get_or_insert(today);
        write(context, key, &transfer)?;
        let to = self.route.group_of(transfer.to.as_bytes());
        Book::tell(context, to, Told::Credit(transfer));
        Ok(DONE)
    }

    fn hear(&self, context: &mut Context<'_>, told: Told) -> Result<(), Rejection> {
        match told {
            Told::Credit(transfer) => {
                if add(context, &transfer.to, &transfer.currency, transfer.cents)? {
                    let day = schema::day(&transfer.currency, transfer.day.unwrap_or_default());
                    Book::tell(context, self.route.group_of(&day), Told::Arrived(transfer));
                } else {
                    let from = self.route.group_of(transfer.from.as_bytes());
                    Book::tell(context, from, Told::Return(transfer));
                }
            }
            Told::Return(mut transfer) => {
                transfer.returned = true;
                add(context, &transfer.from, &transfer.currency, transfer.cents)?;
                write(
                    context,
                    schema::transfer(&transfer.from, &transfer.id),
                    &transfer,
                )?;
            }
            Told::Arrived(transfer) => {
                let key = schema::day(&transfer.currency, transfer.day.unwrap_or_default());
                let mut total = read::<Total>(context, &key)?.unwrap_or_default();
                total.transfers += 1;
                total.cents = total.cents.saturating_add(transfer.cents);
                write(context, key, &total)?;
            }
        }
        Ok(())
    }
}

impl Application for Book {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(ByBalance)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        let envelope = Envelope::decode(payload.clone());
        match envelope.map(|envelope| envelope.command) {
            Ok(Some(Command::Currency(code))) if context.group() == GroupId::METADATA => {
                context.put(Family::State, schema::currency(&code), Bytes::new())?;
                Ok(DONE)
            }
            Ok(Some(Command::Open(open))) => Book::open(context, open),
            Ok(Some(Command::Transfer(transfer))) => self.transfer(context, transfer),
            _ => Err(Rejection::invalid("not a command of this group")),
        }
    }

    fn message(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<(), Rejection> {
        match Letter::decode(payload.clone()).map(|letter| letter.told) {
            Ok(Some(told)) => self.hear(context, told),
            _ => Err(Rejection::internal("not a message of this application")),
        }
    }
}
