//! Writers and readers of the log in memory.

use std::sync::Arc;

use parking_lot::Mutex;

use super::MAX_TRANSACTION;
use super::state::{Held, State};
use crate::{
    OnCommit, Partition, Position, Reader, Record, Transaction, WalError, Writer, WriterId,
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
            .map(|(_, record)| record.size())
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
        let ended = state.commit(transaction, None, on_commit);
        drop(state);
        ended.tell();
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
        state.polled(self.partition);
        // What was dropped under a reader is never passed over in silence.
        state.check_retained(self.partition, self.after)?;
        let mut bytes = 0;
        let mut taken = Vec::new();
        for (position, record) in state.readable(self.partition, self.after).take(max_records) {
            bytes += record.size();
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
