//! Step 1: what is stored, where, and in which other order it can be found.

use bytes::Bytes;
use index::key::{KeyError, KeyReader, KeyWriter};
use index::{IndexDeclaration, Schema};
use prost::Message;

const ACCOUNTS: u8 = 1;
const TRANSFERS: u8 = 2;
const DAYS: u8 = 3;
const CURRENCIES: u8 = 1;
const BY_BALANCE: u8 = 1;

/// `ACCOUNTS | name`, in the group that is home of the name.
#[derive(Clone, PartialEq, Message)]
pub struct Account {
    /// Three letters; the only one that the account is kept in.
    #[prost(string, tag = "1")]
    pub currency: String,
    /// The balance in the currency's smallest unit; never below 0.
    #[prost(sint64, tag = "2")]
    pub cents: i64,
}

/// `TRANSFERS | from | id`, in the group of the account that pays: who repeats a transfer under its id meets this row.
#[derive(Clone, PartialEq, Message)]
pub struct Transfer {
    /// Chosen by the client, unique for the account that pays.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The account that pays.
    #[prost(string, tag = "2")]
    pub from: String,
    /// The account that is paid.
    #[prost(string, tag = "3")]
    pub to: String,
    /// Of both accounts.
    #[prost(string, tag = "4")]
    pub currency: String,
    /// At least 1.
    #[prost(sint64, tag = "5")]
    pub cents: i64,
    /// Which day's total it belongs to, in days since 1970; unset in a command: the day on which it is executed.
    #[prost(sint32, optional, tag = "6")]
    pub day: Option<i32>,
    /// The account that was to be paid could not be, so the money came back.
    #[prost(bool, tag = "7")]
    pub returned: bool,
}

/// `DAYS | currency | day`, in the group that is home of exactly this key.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Total {
    /// Transfers that arrived.
    #[prost(uint64, tag = "1")]
    pub transfers: u64,
    /// What they came to, in the currency's smallest unit.
    #[prost(sint64, tag = "2")]
    pub cents: i64,
}

/// The key of an account.
pub fn account(name: &str) -> Bytes {
    KeyWriter::new().u8(ACCOUNTS).str(name).finish()
}

/// The key of a transfer.
pub fn transfer(from: &str, id: &str) -> Bytes {
    KeyWriter::new().u8(TRANSFERS).str(from).str(id).finish()
}

/// The key of a day's total.
pub fn day(currency: &str, day: i32) -> Bytes {
    KeyWriter::new().u8(DAYS).str(currency).i32(day).finish()
}

/// The key of a currency, in the metadata group.
pub fn currency(code: &str) -> Bytes {
    KeyWriter::new().u8(CURRENCIES).str(code).finish()
}

/// The prefix of a currency's accounts in the index, by balance.
pub fn by_balance(currency: &str) -> Bytes {
    KeyWriter::new().u8(BY_BALANCE).str(currency).finish()
}

/// Balance and account of an index entry.
///
/// # Errors
/// It is not a key of this index.
pub fn read_by_balance(key: &[u8]) -> Result<(i64, String), KeyError> {
    let mut reader = KeyReader::new(key);
    reader.u8()?;
    reader.str()?;
    Ok((reader.i64()?, reader.str()?))
}

/// A row of a core group.
pub enum Row {
    /// Name and account.
    Account(String, Account),
    /// A transfer.
    Transfer(Transfer),
    /// Currency, day and total.
    Day(String, i32, Total),
}

/// What a stored row says; `None` if this build did not write it.
pub fn read_row(key: &[u8], value: &[u8]) -> Option<Row> {
    let mut reader = KeyReader::new(key);
    Some(match reader.u8().ok()? {
        ACCOUNTS => Row::Account(reader.str().ok()?, Account::decode(value).ok()?),
        TRANSFERS => Row::Transfer(Transfer::decode(value).ok()?),
        DAYS => Row::Day(
            reader.str().ok()?,
            reader.i32().ok()?,
            Total::decode(value).ok()?,
        ),
        _ => return None,
    })
}

/// The secondary index: accounts by currency and balance. Nobody writes its entries: the store derives them.
pub struct ByBalance;

impl Schema for ByBalance {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        vec![IndexDeclaration {
            name: "accounts by balance",
            prefix: Bytes::from_static(&[BY_BALANCE]),
            version: 0,
        }]
    }

    fn is_indexed(&self, key: &[u8]) -> bool {
        key.first() == Some(&ACCOUNTS)
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        if let Some(Row::Account(name, account)) = read_row(key, value) {
            let mut entry = KeyWriter::from_prefix(&by_balance(&account.currency));
            emit(entry.i64(account.cents).str(&name).finish(), Bytes::new());
        }
    }
}
