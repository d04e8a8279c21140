//! What one batch does: messages, commands, claims, timers.

use std::sync::Arc;

use bytes::Bytes;
use index::StoreError;
use wal::{GroupId, Position, Record};

use super::Group;
use crate::commit::{Claimed, Event, GlobalSeen, Recorded, Tick};
use crate::context::{Context, Effects};
use crate::{Command, Rejection, RejectionCode, RequestId, Waiter, queue, timer};

/// The timers' floor moves at least this often while there are batches, in milliseconds.
const FLOOR_STEP_MS: i64 = 1000;

/// A batch while it is being executed.
pub(super) struct Run {
    pub(super) effects: Effects,
    pub(super) replies: Vec<(RequestId, Result<Bytes, Rejection>)>,
    pub(super) clock_ms: i64,
    pub(super) inputs: usize,
    /// The first of a term.
    pub(super) begins: bool,
}

impl Run {
    /// Whether there is anything to commit so far.
    pub(super) fn is_batch(&self) -> bool {
        self.inputs > 0 || self.begins
    }

    fn record_inputs(&mut self, count: u32, event: Event) {
        if count > 0 {
            self.effects.recorded.push(Recorded { event: Some(event) });
        }
    }

    fn record_tick(&mut self, now_ms: i64, limit: usize) {
        let tick = Tick {
            now_ms,
            limit: limit as u32,
        };
        self.effects.recorded.push(Recorded {
            event: Some(Event::Tick(tick)),
        });
    }
}

impl Group {
    pub(super) fn run_messages(&mut self, run: &mut Run) {
        let mut executed = 0;
        while let Some((position, record)) = self.next_input(run, true) {
            self.state.messages = position.to_u64();
            run.clock_ms = run.clock_ms.max(record.time_ms);
            executed += 1;
            let Some(payload) = record.value else {
                continue;
            };
            let app = Arc::clone(&self.app);
            if let Err(rejection) =
                self.execute(run, RequestId(0), |context| app.message(context, &payload))
            {
                tracing::error!(group = %self.id, %position, %rejection, "a message from another group was refused");
            }
        }
        run.record_inputs(executed, Event::Messages(executed));
    }

    pub(super) fn run_commands(&mut self, run: &mut Run) {
        let mut executed = 0;
        while let Some((position, record)) = self.next_input(run, false) {
            self.state.commands = position.to_u64();
            run.clock_ms = run.clock_ms.max(record.time_ms);
            let Some(command) = Command::from_record(&record) else {
                tracing::error!(group = %self.id, %position, "a record that is no command was skipped");
                executed += 1;
                continue;
            };
            executed += 1;
            let app = Arc::clone(&self.app);
            let answer = self.execute(run, command.request_id, |context| {
                app.command(context, &command.payload)
            });
            run.replies.push((command.request_id, answer));
        }
        run.record_inputs(executed, Event::Commands(executed));
    }

    fn next_input(&mut self, run: &mut Run, messages: bool) -> Option<(Position, Record)> {
        if run.inputs >= self.limits.batch_inputs
            || self.store.active_bytes() >= self.limits.batch_bytes
        {
            return None;
        }
        let input = if messages {
            self.inbox_messages.pop_front()
        } else {
            self.inbox_commands.pop_front()
        }?;
        run.inputs += 1;
        Some(input)
    }

    pub(super) fn run_claims(&mut self, run: &mut Run, now_ms: i64) -> Result<(), StoreError> {
        for _ in 0..self.limits.batch_claims {
            // They have a share of their own, so that commands cannot keep them from their turn.
            if self.store.active_bytes() >= 2 * self.limits.batch_bytes {
                break;
            }
            let Some(waiter) = self.inbox_claims.pop_front() else {
                break;
            };
            if waiter.consumer.is_open() {
                self.claim(run, waiter, now_ms)?;
            } else {
                self.waiting.pass_on(&waiter.queue);
            }
        }
        Ok(())
    }

    /// Gives the oldest valid entry of the queue to the consumer, or lets it stand in line again.
    fn claim(&mut self, run: &mut Run, waiter: Waiter, now_ms: i64) -> Result<(), StoreError> {
        for _ in 0..self.limits.void_entries {
            let floor = self.cursors.get(&waiter.queue).copied().unwrap_or(0);
            let floor = floor.max(run.effects.queues.get(&waiter.queue).copied().unwrap_or(0));
            let Some(entry) = queue::first(&mut self.store, &waiter.queue, floor)? else {
                self.waiting.set_backlog(self.id, &waiter.queue, None);
                break;
            };
            run.inputs += 1;
            // A visit in vain is not recorded, so it moves nothing.
            run.clock_ms = run.clock_ms.max(now_ms);
            let claimed = Claimed {
                queue: waiter.queue.clone(),
                consumer: waiter.identity.clone(),
            };
            run.effects.recorded.push(Recorded {
                event: Some(Event::Claim(claimed)),
            });
            self.store
                .delete(index::Family::Queue, entry.key().finish())?;
            run.effects
                .queues
                .insert(entry.queue.clone(), entry.sequence.saturating_add(1));
            let app = Arc::clone(&self.app);
            match self.execute(run, RequestId(0), |context| {
                app.claim(context, &entry, &waiter)
            }) {
                Ok(Some(payload)) => {
                    run.effects.deliveries.push((waiter, payload));
                    return Ok(());
                }
                Ok(None) => {}
                Err(rejection) => {
                    tracing::error!(group = %self.id, %rejection, "a queued entry could not be claimed and was dropped");
                }
            }
        }
        self.waiting.put_back(waiter);
        Ok(())
    }

    pub(super) fn run_timers(&mut self, run: &mut Run, now_ms: i64) -> Result<(), StoreError> {
        let floor_ms = self.state.timer_floor_ms;
        let limit = self.limits.batch_timers;
        let Some(next_ms) = self.next_due_ms.filter(|due| *due <= now_ms) else {
            // The floor moves all the same, if there is a batch to say so: it is where a scan begins after a restart.
            if run.is_batch() && now_ms.saturating_sub(floor_ms) >= FLOOR_STEP_MS {
                run.record_tick(now_ms, limit);
                self.state.timer_floor_ms = now_ms;
            }
            return Ok(());
        };
        let now_ms = now_ms.max(floor_ms);
        let due = timer::due(&mut self.store, floor_ms.max(next_ms), now_ms, limit)?;
        if due.is_empty() {
            // All that was due has been cancelled.
            if run.is_batch() {
                run.record_tick(now_ms, limit);
            }
        } else {
            run.clock_ms = run.clock_ms.max(now_ms);
            run.inputs += due.len();
            run.record_tick(now_ms, limit);
        }
        // Those left over keep the floor down; what a firing timer sets for the past fires in the next batch.
        self.state.timer_floor_ms = match due.last() {
            Some(last) if due.len() == limit => last.due_ms,
            _ => now_ms,
        };
        let mut fired = 0;
        for timer in &due {
            if self.store.active_bytes() >= self.limits.batch_bytes && fired > 0 {
                break;
            }
            fired += 1;
            let key = timer::key(timer.due_ms, &timer.owner).finish();
            self.store.delete(index::Family::Queue, key)?;
            let app = Arc::clone(&self.app);
            if let Err(rejection) =
                self.execute(run, RequestId(0), |context| app.timer(context, timer))
            {
                tracing::error!(group = %self.id, due_ms = timer.due_ms, %rejection, "a timer was refused");
            }
        }
        if let Some(last) = due.get(..fired).and_then(<[_]>::last)
            && fired < due.len()
        {
            // The batch is full: the others fire in the next one.
            self.state.timer_floor_ms = last.due_ms;
        }
        self.next_due_ms = timer::next_due(&mut self.store, self.state.timer_floor_ms)?;
        Ok(())
    }

    /// Lets the application deal with what the inputs of the batch have noted.
    pub(super) fn close(&mut self, run: &mut Run) {
        let notes = std::mem::take(&mut run.effects.notes);
        if notes.is_empty() {
            return;
        }
        let app = Arc::clone(&self.app);
        if let Err(rejection) = self.execute(run, RequestId(0), |context| app.close(context, notes))
        {
            tracing::error!(group = %self.id, %rejection, "what a batch has noted is lost");
        }
    }

    /// Runs one input on the active batch; an error rolls it back.
    fn execute<T>(
        &mut self,
        run: &mut Run,
        request_id: RequestId,
        body: impl FnOnce(&mut Context<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let view = self.global.current();
        // The metadata group reads its own state.
        if self.id != GroupId::METADATA && view.version() != self.seen_version {
            self.seen_version = view.version();
            let seen = GlobalSeen {
                input: run.inputs as u32,
                version: view.version().to_u64(),
            };
            run.effects.recorded.push(Recorded {
                event: Some(Event::Global(seen)),
            });
        }
        let mut context = Context {
            store: &mut self.store,
            effects: &mut run.effects,
            waiting: &self.waiting,
            global: &view,
            backlogged: &self.backlogged,
            cursors: &self.cursors,
            in_flight: &self.in_flight,
            recorded_takes: &mut self.recorded_takes,
            now_ms: run.clock_ms,
            timer_floor_ms: self.state.timer_floor_ms,
            next_sequence: &mut self.state.next_sequence,
            next_due_ms: &mut self.next_due_ms,
            group: self.id,
            request_id,
        };
        let mark = context.mark();
        let mut result = body(&mut context);
        // One input may not outgrow what one transaction can hold.
        let sent = context.effects.messages.iter();
        let sent: usize = sent.map(|(_, payload)| payload.len()).sum();
        if result.is_ok() && context.store.active_bytes() + sent > self.limits.transaction_bytes {
            result = Err(Rejection::new(
                RejectionCode::ResourceExhausted,
                format!(
                    "Record too large: the request changes more than {} bytes at once",
                    self.limits.transaction_bytes
                ),
            ));
        }
        if result.is_err() {
            context.rollback_to(mark);
        } else {
            // A consumer that was taken and then not needed stands in line again.
            for waiter in context.effects.taken.drain(..) {
                context.waiting.put_back(waiter);
            }
        }
        result
    }
}
