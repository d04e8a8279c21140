//! The application of the simulation: accounts with transfers between groups, queues, timers, rows that come and go.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use index::{Family, Schema};
use ironhorse_runtime::{Application, Context, Entry, Rejection, Timer, Waiter};
use wal::GroupId;

use super::indexes::BY_VALUE_ALONE;

/// How many groups there are.
pub const GROUPS: u16 = 4;
/// What an account holds before anybody has touched it.
pub const OPENING: i64 = 100;
/// Rows that [`Op::Big`] writes.
pub const BIG_ROWS: u8 = 8;

/// How an entry of a queue fares when it is claimed.
pub const GOOD: u8 = 0;
pub const VOID: u8 = 1;
pub const BAD: u8 = 2;

/// A command. One that was executed under a request id answers its repeats from the row that it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Pays into an account of a group; refused, after it has written and sent, if there is not enough.
    Pay {
        to: u16,
        from: u8,
        account: u8,
        amount: u8,
    },
    /// Gives work to a waiting consumer, or queues it.
    Work { queue: u8, kind: u8 },
    /// Takes a consumer, delivers, and is refused.
    Refuse { queue: u8 },
    /// Takes a consumer it does not need, and removes what another command has queued.
    Drop { victim: u128 },
    /// Sets a timer.
    Later { ms: u16 },
    /// Cancels another command's.
    Cancel { victim: u128 },
    /// Makes a row, or removes it.
    Temp { key: u8 },
    /// Writes more than a batch takes.
    Big { key: u8 },
}

impl Op {
    pub fn encode(self) -> Bytes {
        let (tag, [a, b, c, d], id) = match self {
            Op::Pay {
                to,
                from,
                account,
                amount,
            } => (0, [to as u8, from, account, amount], 0),
            Op::Work { queue, kind } => (1, [queue, kind, 0, 0], 0),
            Op::Refuse { queue } => (2, [queue, 0, 0, 0], 0),
            Op::Drop { victim } => (3, [0; 4], victim),
            Op::Later { ms } => (4, [(ms >> 8) as u8, ms as u8, 0, 0], 0),
            Op::Cancel { victim } => (5, [0; 4], victim),
            Op::Temp { key } => (6, [key, 0, 0, 0], 0),
            Op::Big { key } => (7, [key, 0, 0, 0], 0),
        };
        let mut bytes = BytesMut::with_capacity(21);
        bytes.put_slice(&[tag, a, b, c, d]);
        bytes.put_u128(id);
        bytes.freeze()
    }

    pub fn decode(mut bytes: &[u8]) -> Op {
        let mut next = || bytes.get_u8();
        let (tag, a, b, c, d) = (next(), next(), next(), next(), next());
        let victim = bytes.get_u128();
        match tag {
            0 => Op::Pay {
                to: u16::from(a),
                from: b,
                account: c,
                amount: d,
            },
            1 => Op::Work { queue: a, kind: b },
            2 => Op::Refuse { queue: a },
            3 => Op::Drop { victim },
            4 => Op::Later {
                ms: u16::from_be_bytes([a, b]),
            },
            5 => Op::Cancel { victim },
            6 => Op::Temp { key: a },
            7 => Op::Big { key: a },
            other => panic!("command {other}"),
        }
    }
}

pub fn by_id(table: u8, id: u128) -> Bytes {
    let mut key = BytesMut::with_capacity(17);
    key.put_u8(table);
    key.put_u128(id);
    key.freeze()
}

pub fn short(table: u8, parts: &[u8]) -> Bytes {
    Bytes::from([&[table], parts].concat())
}

pub fn number(n: i64) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

pub fn to_number(value: &[u8]) -> i64 {
    i64::from_be_bytes(value.try_into().unwrap())
}

/// The name of a queue.
pub fn queue_name(queue: u8) -> Bytes {
    Bytes::copy_from_slice(&[b'q', queue])
}

/// What an entry of a queue holds.
pub fn entry_payload(id: u128, kind: u8) -> Bytes {
    let mut payload = BytesMut::with_capacity(17);
    payload.put_u128(id);
    payload.put_u8(kind);
    payload.freeze()
}

/// A message that pays into an account, or (account 255) counts a fired timer.
pub fn message(account: u8, amount: u8, id: u128) -> Bytes {
    let mut payload = BytesMut::with_capacity(18);
    payload.put_slice(&[account, amount]);
    payload.put_u128(id);
    payload.freeze()
}

pub const FIRED: u8 = 255;

/// See the module.
pub struct Bank;

fn balance(context: &Context<'_>, account: u8) -> Result<i64, Rejection> {
    let row = context.get(Family::State, &short(b'a', &[account]))?;
    Ok(row.map_or(OPENING, |row| to_number(&row)))
}

fn put(context: &mut Context<'_>, key: Bytes, value: Bytes) -> Result<(), Rejection> {
    Ok(context.put(Family::State, key, value)?)
}

fn insert(context: &mut Context<'_>, key: Bytes, value: Bytes) -> Result<(), Rejection> {
    Ok(context.insert(Family::State, key, value)?)
}

fn delete(context: &mut Context<'_>, key: Bytes) -> Result<(), Rejection> {
    Ok(context.delete(Family::State, key)?)
}

impl Application for Bank {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(BY_VALUE_ALONE)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        let id = context.request_id().0;
        if let Some(answer) = context.get(Family::State, &by_id(b'r', id))? {
            return Ok(answer);
        }
        let answer = match Op::decode(payload) {
            Op::Pay {
                to,
                from,
                account,
                amount,
            } => {
                let left = balance(context, from)? - i64::from(amount);
                put(context, short(b'a', &[from]), number(left))?;
                context.send(GroupId(to), message(account, amount, id));
                if left < 0 {
                    return Err(Rejection::precondition("not enough"));
                }
                number(left)
            }
            Op::Work { queue, kind } => {
                let name = queue_name(queue);
                let waiter = if kind == GOOD {
                    context.take_waiter(&name)
                } else {
                    None
                };
                if let Some(waiter) = waiter {
                    insert(context, by_id(b'c', id), Bytes::new())?;
                    context.deliver(waiter, entry_payload(id, kind));
                    Bytes::from_static(b"given")
                } else {
                    let sequence = context.enqueue(name, entry_payload(id, kind))?;
                    let row = [&[queue][..], &sequence.to_be_bytes()].concat();
                    insert(context, by_id(b'w', id), Bytes::from(row))?;
                    Bytes::from_static(b"queued")
                }
            }
            Op::Refuse { queue } => {
                if let Some(waiter) = context.take_waiter(&queue_name(queue)) {
                    insert(context, by_id(b'c', id), Bytes::new())?;
                    context.deliver(waiter, entry_payload(id, GOOD));
                }
                return Err(Rejection::precondition("as asked"));
            }
            Op::Drop { victim } => {
                context.take_waiter(&queue_name(0));
                let key = by_id(b'w', victim);
                if let Some(row) = context.get(Family::State, &key)? {
                    let sequence = u64::from_be_bytes(row[1..].try_into().unwrap());
                    context.dequeue(queue_name(row[0]), sequence)?;
                    delete(context, key)?;
                    Bytes::from_static(b"dropped")
                } else {
                    Bytes::from_static(b"not there")
                }
            }
            Op::Later { ms } => {
                let due = context.now_ms() + i64::from(ms);
                let due = context.set_timer(due, &id.to_be_bytes(), Bytes::new())?;
                insert(context, by_id(b't', id), number(due))?;
                number(due)
            }
            Op::Cancel { victim } => {
                let key = by_id(b't', victim);
                if let Some(due) = context.get(Family::State, &key)? {
                    context.cancel_timer(to_number(&due), &victim.to_be_bytes())?;
                    delete(context, key)?;
                    Bytes::from_static(b"cancelled")
                } else {
                    Bytes::from_static(b"not there")
                }
            }
            Op::Temp { key } => {
                let key = short(b'x', &[key]);
                if context.get(Family::State, &key)?.is_some() {
                    delete(context, key)?;
                    Bytes::from_static(b"gone")
                } else {
                    insert(context, key, number(id as i64))?;
                    Bytes::from_static(b"made")
                }
            }
            Op::Big { key } => {
                for part in 0..BIG_ROWS {
                    let value = Bytes::from(vec![id as u8; 40]);
                    put(context, short(b'b', &[key, part]), value)?;
                }
                Bytes::from_static(b"big")
            }
        };
        insert(context, by_id(b'r', id), answer.clone())?;
        Ok(answer)
    }

    fn message(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<(), Rejection> {
        let (account, amount) = (payload[0], payload[1]);
        let key = short(b'a', &[account]);
        let value = balance(context, account)? + i64::from(amount);
        put(context, key, number(value))
    }

    fn timer(&self, context: &mut Context<'_>, timer: &Timer) -> Result<(), Rejection> {
        assert!(context.now_ms() >= timer.due_ms, "a timer fired early");
        let id = u128::from_be_bytes(timer.owner[..].try_into().unwrap());
        delete(context, by_id(b't', id))?;
        insert(context, by_id(b'f', id), number(timer.due_ms))?;
        let next = GroupId((context.group().0 + 1) % GROUPS);
        context.send(next, message(FIRED, 1, id));
        Ok(())
    }

    fn claim(
        &self,
        context: &mut Context<'_>,
        entry: &Entry,
        _: &Waiter,
    ) -> Result<Option<Bytes>, Rejection> {
        let id = u128::from_be_bytes(entry.payload[..16].try_into().unwrap());
        delete(context, by_id(b'w', id))?;
        match entry.payload[16] {
            VOID => Ok(None),
            BAD => Err(Rejection::precondition("as asked")),
            _ => {
                insert(context, by_id(b'c', id), Bytes::new())?;
                Ok(Some(entry.payload.clone()))
            }
        }
    }
}
