//! Committing.

use std::sync::Arc;

use super::frame::{MAX_BODY, MAX_RECORDS};
use super::open::{Inner, Pending, bytes_of};
use super::tail::Tail;
use crate::{Notify, OnCommit, Outcome, Transaction, WalError, Writer, WriterId};

/// Commits transactions under one id.
pub(super) struct LogWriter {
    pub(super) inner: Arc<Inner>,
    pub(super) id: WriterId,
    pub(super) epoch: u64,
}

impl Writer for LogWriter {
    fn commit(&mut self, transaction: Transaction, on_commit: OnCommit) -> Result<(), WalError> {
        let size: usize = transaction
            .records
            .iter()
            .map(|(_, record)| bytes_of(record))
            .sum();
        if size > MAX_BODY / 2 {
            return Err(WalError::TooLarge {
                what: "transaction",
                size,
                limit: MAX_BODY / 2,
            });
        }
        if transaction.records.len() > MAX_RECORDS / 2 {
            let (size, limit) = (transaction.records.len(), MAX_RECORDS / 2);
            return Err(WalError::TooLarge {
                what: "number of records in a transaction",
                size,
                limit,
            });
        }
        let mut guard = self.inner.queue.lock();
        let queue = &mut *guard;
        if queue.epochs.get(&self.id) != Some(&self.epoch) {
            drop(guard);
            on_commit(Outcome::Fenced);
            return Ok(());
        }
        if queue.stop || queue.refused.is_some() {
            drop(guard);
            on_commit(Outcome::Aborted);
            return Ok(());
        }
        let sequence = queue.next;
        queue.next += 1;
        queue.bytes += size;
        queue.transactions += 1;
        let mut notify: Vec<Notify> = Vec::new();
        for (index, (partition, record)) in transaction.records.iter().enumerate() {
            // The changelog's own records are told to nobody in normal running.
            if Tail::is_kept(*partition) {
                notify.extend(queue.show(
                    self.inner.recovered,
                    sequence,
                    index,
                    *partition,
                    record,
                ));
            } else if let Some(watcher) = queue.notify.get(partition) {
                notify.push(Arc::clone(watcher));
            }
        }
        queue.pending.push_back(Pending {
            sequence,
            records: transaction.records,
            bytes: size,
            on_commit: Some(on_commit),
        });
        drop(guard);
        self.inner.woken.notify_one();
        for notify in notify {
            notify();
        }
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        4
    }
}
