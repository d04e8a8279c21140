//! One command's view of the rows it works on.

use std::collections::BTreeSet;
use std::sync::Arc;

use index::Family;
use proto::ironhorse::v1::{
    ExternalEventRow, NodeOutputRow, NodeRunRow, TaskRunRow, ThreadRunRow, UserTaskRunRow,
    VariableRow, WfRunRow,
};
use proto::littlehorse::{NodeRun, ThreadRun, WfRun, WfSpecId};
use runtime::{Context, Rejection};

use super::which::Run;
use crate::key::{
    EventAt, Kind, NodeAt, OutputAt, Row as KeyRow, RunKey, RunRow, TaskGuid, ThreadAt, VariableAt,
    WfRunAt,
};
use crate::metric::{counter, window};
use crate::record::Rows;
use crate::record::node_run::keep_event_node;
use crate::record::wf_run::is_terminated;
use crate::settings::Tenant;
use crate::spec::{self, Spec};

/// Threads of a WfRun that are read at once.
const MAX_THREADS: usize = 100_000;

/// A unit of work: one command, timer or claim on the rows of a family of WfRuns. Nothing is written before
/// [`Unit::finish`].
pub struct Unit<'u, 'c> {
    /// Record time, effects, and the rows that have no type here.
    pub context: &'u mut Context<'c>,
    /// Whose runs these are.
    pub tenant: Tenant<'u>,
    wf_runs: Rows<WfRunRow>,
    threads: Rows<ThreadRunRow>,
    nodes: Rows<NodeRunRow>,
    variables: Rows<VariableRow>,
    tasks: Rows<TaskRunRow>,
    outputs: Rows<NodeOutputRow>,
    events: Rows<ExternalEventRow>,
    /// Read and written by `user_task`.
    pub(crate) user_tasks: Rows<UserTaskRunRow>,
    /// The specs used so far: few, so a list.
    specs: Vec<(WfSpecId, Arc<Spec>)>,
    /// Run, thread and position of the WAIT_FOR_THREADS nodes that were looked at.
    waiting: BTreeSet<(RunKey, i32, i32)>,
    /// Runs to be advanced: something that they may wait for has ended. See [`super::family`].
    pub(super) woken: Vec<Run>,
    /// Child WfRuns started.
    pub(super) children: u32,
}

impl<'u, 'c> Unit<'u, 'c> {
    /// A unit in which nothing has happened.
    pub fn new(context: &'u mut Context<'c>, tenant: Tenant<'u>) -> Unit<'u, 'c> {
        Unit {
            context,
            tenant,
            wf_runs: Rows::default(),
            threads: Rows::default(),
            nodes: Rows::default(),
            variables: Rows::default(),
            tasks: Rows::default(),
            outputs: Rows::default(),
            events: Rows::default(),
            user_tasks: Rows::default(),
            specs: Vec::new(),
            waiting: BTreeSet::new(),
            woken: Vec::new(),
            children: 0,
        }
    }

    /// Writes everything that changed.
    pub fn finish(mut self) -> Result<(), Rejection> {
        self.flush()
    }

    /// Writes everything that changed, and goes on.
    pub fn flush(&mut self) -> Result<(), Rejection> {
        let tenant = self.tenant.name;
        self.wf_runs.flush(self.context, |context, written| {
            window::note_wf_run(context, tenant, &written);
            Ok(())
        })?;
        self.threads.flush(self.context, |_, _| Ok(()))?;
        self.nodes.flush(self.context, |context, written| {
            if written.before == 0 {
                counter::note_node_runs(context, tenant, written.row, 1);
            }
            keep_event_node(context, &written)
        })?;
        self.variables.flush(self.context, |_, _| Ok(()))?;
        self.tasks.flush(self.context, |context, written| {
            counter::note_task_run(context, tenant, &written);
            Ok(())
        })?;
        self.outputs.flush(self.context, |_, _| Ok(()))?;
        self.events.flush(self.context, |_, _| Ok(()))?;
        self.user_tasks.flush(self.context, |_, _| Ok(()))
    }

    /// Record time, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.context.now_ms()
    }

    /// Whether the WfRun exists and is not being deleted.
    pub fn exists(&mut self, run: &Run) -> Result<bool, Rejection> {
        Ok(self
            .wf_runs
            .get(self.context, &run.key, WfRunAt)?
            .is_some_and(|row| !row.deleting))
    }

    /// Whether there is a row for the WfRun, even if it is being deleted.
    pub fn is_taken(&mut self, run: &Run) -> Result<bool, Rejection> {
        Ok(self.wf_runs.get(self.context, &run.key, WfRunAt)?.is_some())
    }

    /// The row of a WfRun that is known to exist.
    pub fn wf_run_row(&mut self, run: &Run) -> Result<&WfRunRow, Rejection> {
        self.wf_runs
            .get(self.context, &run.key, WfRunAt)?
            .ok_or_else(|| lost("WfRun"))
    }

    /// The row of a WfRun that is known to exist, to be changed.
    pub fn wf_run_row_mut(&mut self, run: &Run) -> Result<&mut WfRunRow, Rejection> {
        self.wf_runs
            .get_mut(self.context, &run.key, WfRunAt)?
            .ok_or_else(|| lost("WfRun"))
    }

    /// A WfRun that is known to exist.
    pub fn wf_run(&mut self, run: &Run) -> Result<&WfRun, Rejection> {
        self.wf_run_row(run)?
            .wf_run
            .as_ref()
            .ok_or_else(|| lost("WfRun"))
    }

    /// A WfRun that is known to exist, to be changed.
    pub fn wf_run_mut(&mut self, run: &Run) -> Result<&mut WfRun, Rejection> {
        self.wf_run_row_mut(run)?
            .wf_run
            .as_mut()
            .ok_or_else(|| lost("WfRun"))
    }

    /// A new WfRun.
    pub fn insert_wf_run(&mut self, run: &Run, row: WfRunRow) {
        self.wf_runs.insert(&run.key, WfRunAt, row);
    }

    /// The numbers of the active ThreadRuns, ascending.
    pub fn active_threads(&mut self, run: &Run) -> Result<Vec<i32>, Rejection> {
        if self.wf_run(run)?.greatest_threadrun_number == 0 {
            return Ok(vec![0]);
        }
        // What was started in this unit must be found too.
        self.threads.flush(self.context, |_, _| Ok(()))?;
        let rows = self.context.scan(
            Family::State,
            &run.key.all(Kind::ThreadRun),
            MAX_THREADS,
            false,
        )?;
        let mut numbers = Vec::with_capacity(rows.len());
        for (key, _) in rows {
            match RunRow::parse(&key).map_err(|error| Rejection::internal(error.to_string()))? {
                Some(RunRow {
                    row: KeyRow::ThreadRun { number, .. },
                    ..
                }) => numbers.push(number),
                _ => return Err(lost("ThreadRun key")),
            }
        }
        Ok(numbers)
    }

    /// How many ThreadRuns are active: of any status, not archived.
    pub fn active_thread_count(&mut self, run: &Run) -> Result<i32, Rejection> {
        let row = self.wf_run_row(run)?;
        let archived = row.archived_threads;
        let greatest = row
            .wf_run
            .as_ref()
            .map_or(0, |wf_run| wf_run.greatest_threadrun_number);
        Ok(greatest + 1 - archived)
    }

    /// Moves a ThreadRun out of the WfRun, to where it is only looked up (spec 03, section 11.2).
    pub fn archive_thread(&mut self, run: &Run, number: i32) -> Result<(), Rejection> {
        let active = ThreadAt::active(number);
        let Some(row) = self.threads.get(self.context, &run.key, active)?.cloned() else {
            return Err(lost("ThreadRun"));
        };
        self.threads.delete(&run.key, active);
        let archived = ThreadAt {
            archived: true,
            ..active
        };
        self.threads.insert(&run.key, archived, row);
        self.wf_run_row_mut(run)?.archived_threads += 1;
        Ok(())
    }

    /// A ThreadRun, active or archived, if it exists.
    pub fn find_thread(&mut self, run: &Run, number: i32) -> Result<Option<&ThreadRun>, Rejection> {
        let mut at = ThreadAt::active(number);
        if self.threads.get(self.context, &run.key, at)?.is_none() {
            at.archived = true;
        }
        let row = self.threads.get(self.context, &run.key, at)?;
        Ok(row.and_then(|row| row.thread_run.as_ref()))
    }

    /// A ThreadRun that is known to exist.
    pub fn thread(&mut self, run: &Run, number: i32) -> Result<&ThreadRun, Rejection> {
        self.find_thread(run, number)?
            .ok_or_else(|| lost("ThreadRun"))
    }

    /// An active ThreadRun that is known to exist, to be changed.
    pub fn thread_mut(&mut self, run: &Run, number: i32) -> Result<&mut ThreadRun, Rejection> {
        self.threads
            .get_mut(self.context, &run.key, ThreadAt::active(number))?
            .and_then(|row| row.thread_run.as_mut())
            .ok_or_else(|| lost("ThreadRun"))
    }

    /// A new ThreadRun.
    pub fn insert_thread(&mut self, run: &Run, thread: ThreadRun) {
        self.threads.insert(
            &run.key,
            ThreadAt::active(thread.number),
            ThreadRunRow {
                version: 1,
                thread_run: Some(thread),
            },
        );
    }

    /// Whether a thread has ended for good.
    pub fn is_thread_terminated(&mut self, run: &Run, number: i32) -> Result<bool, Rejection> {
        Ok(is_terminated(self.thread(run, number)?.status()))
    }

    /// A NodeRun's row, if it exists.
    pub fn find_node_row(
        &mut self,
        run: &Run,
        thread: i32,
        position: i32,
    ) -> Result<Option<&NodeRunRow>, Rejection> {
        self.nodes
            .get(self.context, &run.key, NodeAt { thread, position })
    }

    /// The row of a NodeRun that is known to exist, to be changed.
    pub fn node_row_mut(
        &mut self,
        run: &Run,
        thread: i32,
        position: i32,
    ) -> Result<&mut NodeRunRow, Rejection> {
        self.nodes
            .get_mut(self.context, &run.key, NodeAt { thread, position })?
            .ok_or_else(|| lost("NodeRun"))
    }

    /// A NodeRun that is known to exist.
    pub fn node(&mut self, run: &Run, thread: i32, position: i32) -> Result<&NodeRun, Rejection> {
        self.nodes
            .get(self.context, &run.key, NodeAt { thread, position })?
            .and_then(|row| row.node_run.as_ref())
            .ok_or_else(|| lost("NodeRun"))
    }

    /// A NodeRun that is known to exist, to be changed.
    pub fn node_mut(
        &mut self,
        run: &Run,
        thread: i32,
        position: i32,
    ) -> Result<&mut NodeRun, Rejection> {
        self.node_row_mut(run, thread, position)?
            .node_run
            .as_mut()
            .ok_or_else(|| lost("NodeRun"))
    }

    /// A new NodeRun.
    pub fn insert_node(&mut self, run: &Run, thread: i32, position: i32, node_run: NodeRun) {
        let row = NodeRunRow {
            version: 1,
            node_run: Some(node_run),
            timer_due_ms: None,
            output: None,
            correlated: false,
        };
        self.nodes
            .insert(&run.key, NodeAt { thread, position }, row);
    }

    /// A variable's row, if it exists.
    pub fn find_variable(
        &mut self,
        run: &Run,
        thread: i32,
        name: &str,
    ) -> Result<Option<&VariableRow>, Rejection> {
        self.variables
            .get(self.context, &run.key, VariableAt::new(thread, name))
    }

    /// A variable's row, to be changed, if it exists.
    pub fn find_variable_mut(
        &mut self,
        run: &Run,
        thread: i32,
        name: &str,
    ) -> Result<Option<&mut VariableRow>, Rejection> {
        self.variables
            .get_mut(self.context, &run.key, VariableAt::new(thread, name))
    }

    /// A new variable.
    pub fn insert_variable(&mut self, run: &Run, thread: i32, name: &str, row: VariableRow) {
        self.variables
            .insert(&run.key, VariableAt::new(thread, name), row);
    }

    /// Deletes a variable.
    pub fn delete_variable(&mut self, run: &Run, thread: i32, name: &str) {
        self.variables
            .delete(&run.key, VariableAt::new(thread, name));
    }

    /// A TaskRun's row, if it exists.
    pub fn find_task(
        &mut self,
        run: &Run,
        guid: TaskGuid,
    ) -> Result<Option<&TaskRunRow>, Rejection> {
        self.tasks.get(self.context, &run.key, guid)
    }

    /// The row of a TaskRun that is known to exist, to be changed.
    pub fn task_mut(&mut self, run: &Run, guid: TaskGuid) -> Result<&mut TaskRunRow, Rejection> {
        self.tasks
            .get_mut(self.context, &run.key, guid)?
            .ok_or_else(|| lost("TaskRun"))
    }

    /// A new TaskRun.
    pub fn insert_task(&mut self, run: &Run, guid: TaskGuid, row: TaskRunRow) {
        self.tasks.insert(&run.key, guid, row);
    }

    /// Where the latest output of a node is, if it has run.
    pub fn find_output(
        &mut self,
        run: &Run,
        thread: i32,
        node: &str,
    ) -> Result<Option<i32>, Rejection> {
        Ok(self
            .outputs
            .get(self.context, &run.key, OutputAt::new(thread, node))?
            .map(|row| row.position))
    }

    /// Notes where the latest output of a node is.
    pub fn set_output(
        &mut self,
        run: &Run,
        thread: i32,
        node: &str,
        position: i32,
    ) -> Result<(), Rejection> {
        let at = OutputAt::new(thread, node);
        match self.outputs.get_mut(self.context, &run.key, at.clone())? {
            Some(row) => row.position = position,
            None => self.outputs.insert(
                &run.key,
                at,
                NodeOutputRow {
                    version: 1,
                    position,
                },
            ),
        }
        Ok(())
    }

    /// An ExternalEvent's row, if it exists.
    pub fn find_event(
        &mut self,
        run: &Run,
        def: &str,
        guid: &str,
    ) -> Result<Option<&ExternalEventRow>, Rejection> {
        self.events
            .get(self.context, &run.key, EventAt::new(def, guid))
    }

    /// An ExternalEvent's row, to be changed, if it exists.
    pub fn find_event_mut(
        &mut self,
        run: &Run,
        def: &str,
        guid: &str,
    ) -> Result<Option<&mut ExternalEventRow>, Rejection> {
        self.events
            .get_mut(self.context, &run.key, EventAt::new(def, guid))
    }

    /// A new ExternalEvent, unclaimed.
    pub fn insert_event(&mut self, run: &Run, def: &str, guid: &str, row: ExternalEventRow) {
        self.events.insert(&run.key, EventAt::new(def, guid), row);
    }

    /// Deletes an ExternalEvent.
    pub fn delete_event(&mut self, run: &Run, def: &str, guid: &str) {
        self.events.delete(&run.key, EventAt::new(def, guid));
    }

    /// The spec that a thread runs on.
    pub fn spec(&mut self, run: &Run, thread: i32) -> Result<Arc<Spec>, Rejection> {
        let id = self
            .thread(run, thread)?
            .wf_spec_id
            .clone()
            .unwrap_or_default();
        self.spec_by_id(run, &id)
    }

    /// A spec that a run is on.
    pub fn spec_by_id(&mut self, run: &Run, id: &WfSpecId) -> Result<Arc<Spec>, Rejection> {
        let row = self.wf_run_row(run)?;
        let other = row
            .other_specs
            .iter()
            .find(|other| other.wf_spec_id.as_ref() == Some(id));
        let created_ms = other.map_or(row.spec_created_ms, |other| other.created_ms);
        let known = self
            .specs
            .iter()
            .find(|(known, spec)| known == id && spec.created_ms() == created_ms);
        if let Some((_, spec)) = known {
            return Ok(Arc::clone(spec));
        }
        let spec = spec::wf_spec_of_run(self.context.global(), self.tenant.name, id, created_ms)
            .ok_or_else(|| Rejection::precondition(format!("WfSpec {id} no longer exists")))?;
        self.specs.push((id.clone(), Arc::clone(&spec)));
        Ok(spec)
    }

    /// A WAIT_FOR_THREADS node was looked at.
    pub fn note_waiting(&mut self, run: &Run, thread: i32, position: i32) {
        self.waiting.insert((run.key.clone(), thread, position));
    }

    /// The WAIT_FOR_THREADS nodes of a run that were looked at since this was asked: thread and position.
    pub fn take_waiting(&mut self, run: &Run) -> Vec<(i32, i32)> {
        self.waiting
            .extract_if(.., |(of, _, _)| *of == run.key)
            .map(|(_, thread, position)| (thread, position))
            .collect()
    }

    /// The public WfRun, with its active ThreadRuns.
    pub fn public_wf_run(&mut self, run: &Run) -> Result<WfRun, Rejection> {
        let mut wf_run = self.wf_run(run)?.clone();
        wf_run.id = Some(run.id.clone());
        for number in self.active_threads(run)? {
            wf_run.thread_runs.push(self.thread(run, number)?.clone());
        }
        Ok(wf_run)
    }
}

/// A row that other rows speak of is not there.
pub(super) fn lost(what: &str) -> Rejection {
    Rejection::internal(format!("{what} is missing"))
}
