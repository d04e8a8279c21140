//! Writers and readers of the log in memory.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Held, MAX_TRANSACTION, State, Unsynced};
use crate::{
    OnCommit, Outcome, Partition, Position, Reader, Record, Transaction, WalError, Writer, WriterId,
};

pub(super) struct MemoryWriter {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) id: WriterId,
    pub(super) epoch: u64,
}

impl Writer for MemoryWriter {
    fn commit(&mut self, transaction: Transaction, on_commit: OnCommit) -> Result<(), WalError> {
        let size = transaction
            .records
            .iter()
            .map(|(_, record)| {
                record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len)
            })
            .sum();
        if size > MAX_TRANSACTION {
            return Err(WalError::TooLarge {
                what: "transaction",
                size,
                limit: MAX_TRANSACTION,
            });
        }
        let mut state = self.state.lock();
        if let Some(verdict) = state.verdict(&self.id, self.epoch) {
            drop(state);
            on_commit(verdict);
            return Ok(());
        }
        if state.hold {
            state.held.push_back(Held {
                writer: self.id.clone(),
                epoch: self.epoch,
                transaction,
                on_commit,
            });
            return Ok(());
        }
        let before = state.next;
        let (position, notify) = state.apply(transaction);
        let outcome = Outcome::Committed(position);
        let told = if state.hold_syncs {
            let told = Some((on_commit, outcome));
            state.unsynced.push_back(Unsynced { before, told });
            None
        } else {
            Some((on_commit, outcome))
        };
        drop(state);
        for notify in notify {
            notify();
        }
        if let Some((on_commit, outcome)) = told {
            on_commit(outcome);
        }
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        4
    }
}

pub(super) struct MemoryReader {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) partition: Partition,
    pub(super) after: Position,
}

impl Reader for MemoryReader {
    fn poll(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Record)>, WalError> {
        let mut state = self.state.lock();
        let visible = state.visible(self.partition);
        let Some(records) = state.partitions.get(&self.partition) else {
            return Ok(Vec::new());
        };
        let from = records.partition_point(|(position, _)| *position <= self.after);
        let mut bytes = 0;
        let mut taken = Vec::new();
        let shown = records
            .range(from..)
            .take_while(|(position, _)| visible(*position));
        for (position, record) in shown.take(max_records) {
            bytes += record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len);
            if bytes > max_bytes && !taken.is_empty() {
                break;
            }
            taken.push((*position, record.clone()));
        }
        if let Some((last, _)) = taken.last() {
            self.after = *last;
        }
        Ok(taken)
    }
}
