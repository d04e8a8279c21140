"""User tasks, as users of the official Python client define and do them."""

import asyncio
import time

import grpc
import littlehorse
import pytest
from littlehorse.model import (
    AssignUserTaskRunRequest,
    CancelUserTaskRunRequest,
    CompleteUserTaskRunRequest,
    DeleteUserTaskRunCommentRequest,
    EditUserTaskRunCommentRequest,
    ListUserTaskRunRequest,
    ListVariablesRequest,
    LHStatus,
    PutUserTaskDefRequest,
    PutUserTaskRunCommentRequest,
    RunWfRequest,
    SaveUserTaskRunProgressRequest,
    SearchUserTaskRunRequest,
    UserTaskField,
    UserTaskRunStatus,
    VariableType,
    WfRunId,
)
from littlehorse.worker import LHTaskWorker, WorkerContext
from littlehorse.workflow import Workflow, WorkflowThread

ALL = ("approved", "comment")


def define_form(stub, name):
    fields = [
        UserTaskField(name="approved", type=VariableType.BOOL, required=True),
        UserTaskField(name="comment", type=VariableType.STR, required=False),
    ]
    return stub.PutUserTaskDef(PutUserTaskDefRequest(name=name, fields=fields))


def start(stub, config, name, wf, **variables):
    littlehorse.create_workflow_spec(Workflow(name, wf), config)
    values = {key: littlehorse.to_variable_value(value) for key, value in variables.items()}
    return stub.RunWf(RunWfRequest(wf_spec_name=name, variables=values)).id


def tasks_of(stub, run_id):
    return list(stub.ListUserTaskRuns(ListUserTaskRunRequest(wf_run_id=run_id)).results)


def events(task):
    return [event.WhichOneof("event") for event in task.events]


def answers(**results):
    return {key: littlehorse.to_variable_value(value) for key, value in results.items()}


def becomes(ask, wanted, timeout=15.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = ask()
        if wanted(found):
            return found
        time.sleep(0.01)
    raise TimeoutError(str(found))


def refused(call, code):
    with pytest.raises(grpc.RpcError) as refusal:
        call()
    assert refusal.value.code() == code, refusal.value.details()


def test_a_task_of_a_group_is_claimed_saved_and_completed(server, unique):
    config = server.config()
    stub = config.stub()
    define_form(stub, unique)

    def wf(thread: WorkflowThread) -> None:
        who = thread.declare_str("who").required()
        approved = thread.declare_bool("approved")
        task = thread.assign_user_task(unique, user_group="managers")
        task.with_notes(thread.format("Decide for {0}", who))
        approved.assign(task.with_json_path("$.approved"))

    run_id = start(stub, config, unique, wf, who="Ann")
    (task,) = tasks_of(stub, run_id)
    assert (task.status, task.epoch, task.notes) == (UserTaskRunStatus.UNASSIGNED, 1, "Decide for Ann")

    def inbox(**criteria):
        return list(stub.SearchUserTaskRun(SearchUserTaskRunRequest(user_task_def_name=unique, **criteria)).results)

    assert inbox(user_group="managers", status=UserTaskRunStatus.UNASSIGNED) == [task.id]

    # Claimed, and not by two.
    claim = AssignUserTaskRunRequest(user_task_run_id=task.id, user_id="mia")
    stub.AssignUserTaskRun(claim)
    claim.user_id = "max"
    refused(lambda: stub.AssignUserTaskRun(claim), grpc.StatusCode.FAILED_PRECONDITION)
    assert inbox(user_id="mia", status=UserTaskRunStatus.ASSIGNED) == [task.id]
    assert inbox(user_group="managers") == []

    draft = SaveUserTaskRunProgressRequest(user_task_run_id=task.id, user_id="mia", results=answers(comment="hm"))
    saved = stub.SaveUserTaskRunProgress(draft)
    assert saved.results["comment"].str == "hm"
    draft.user_id = "max"
    refused(lambda: stub.SaveUserTaskRunProgress(draft), grpc.StatusCode.FAILED_PRECONDITION)

    comment = {"user_task_run_id": task.id, "user_id": "mia"}
    stub.PutUserTaskRunComment(PutUserTaskRunCommentRequest(comment="odd", **comment))
    stub.EditUserTaskRunComment(EditUserTaskRunCommentRequest(comment="odder", user_comment_id=1, **comment))
    stub.DeleteUserTaskRunComment(DeleteUserTaskRunCommentRequest(user_comment_id=1, **comment))

    done = CompleteUserTaskRunRequest(user_task_run_id=task.id, user_id="mia")
    refused(lambda: stub.CompleteUserTaskRun(done), grpc.StatusCode.INVALID_ARGUMENT)
    done = CompleteUserTaskRunRequest(user_task_run_id=task.id, user_id="mia", results=answers(approved=True))
    stub.CompleteUserTaskRun(done)
    stub.CompleteUserTaskRun(done)
    task = stub.GetUserTaskRun(task.id)
    assert task.status == UserTaskRunStatus.DONE
    assert set(task.results) == set(ALL)
    assert events(task) == [
        "assigned",
        "assigned",
        "saved",
        "comment_added",
        "comment_edited",
        "comment_deleted",
        "completed",
    ]
    assert stub.GetWfRun(run_id).status == LHStatus.COMPLETED
    variables = stub.ListVariables(ListVariablesRequest(wf_run_id=run_id)).results
    assert {variable.id.name: variable.value for variable in variables}["approved"].bool


def test_a_cancelled_task_runs_its_handler(server, unique):
    config = server.config()
    stub = config.stub()
    define_form(stub, unique)

    def wf(thread: WorkflowThread) -> None:
        outcome = thread.declare_str("outcome")
        task = thread.assign_user_task(unique, user_id="mia")
        task.with_on_cancellation_exception("not-needed")

        def handler(body: WorkflowThread) -> None:
            outcome.assign("handled")

        thread.handle_exception(task, handler, "not-needed")

    run_id = start(stub, config, unique, wf)
    (task,) = tasks_of(stub, run_id)
    stub.CancelUserTaskRun(CancelUserTaskRunRequest(user_task_run_id=task.id))
    assert stub.GetUserTaskRun(task.id).status == UserTaskRunStatus.CANCELLED
    assert stub.GetWfRun(run_id).status == LHStatus.COMPLETED
    (outcome,) = stub.ListVariables(ListVariablesRequest(wf_run_id=run_id)).results
    assert outcome.value.str == "handled"
    done = CompleteUserTaskRunRequest(user_task_run_id=task.id, user_id="mia", results=answers(approved=True))
    refused(lambda: stub.CompleteUserTaskRun(done), grpc.StatusCode.FAILED_PRECONDITION)


def test_a_task_is_reminded_of_reassigned_released_and_given_up(server, unique):
    config = server.config()
    stub = config.stub()
    define_form(stub, unique)
    reminder = f"remind-{unique}"
    sent = []

    async def remind(text: str, context: WorkerContext) -> None:
        sent.append((text, context.node_run_id.position, context.idempotency_key))

    def reassigned(thread: WorkflowThread) -> None:
        task = thread.assign_user_task(unique, user_id="mia")
        thread.schedule_reminder_task(task, 0, reminder, "please")
        thread.reassign_user_task_on_deadline(task, 1, user_id="boss")

    def released(thread: WorkflowThread) -> None:
        task = thread.assign_user_task(unique, user_id="mia", user_group="managers")
        # This builder packs all arguments into one: it is registered, and never sent to a task of two inputs.
        thread.schedule_reminder_task_on_assignment(task, 0, reminder, "please", "now")
        thread.release_to_group_on_deadline(task, 1)

    def given_up(thread: WorkflowThread) -> None:
        task = thread.assign_user_task(unique, user_id="mia")
        thread.cancel_user_task_run_after_assignment(task, 1)

    async def scenario():
        worker = LHTaskWorker(remind, reminder, config)
        worker.register_task_def()
        polling = asyncio.create_task(worker.start())
        try:
            runs = [
                await asyncio.to_thread(start, stub, config, f"{wf.__name__.replace('_', '-')}-{unique}", wf)
                for wf in (reassigned, released, given_up)
            ]

            def first(run_id):
                return lambda: tasks_of(stub, run_id)[0]

            task = await asyncio.to_thread(becomes, first(runs[0]), lambda task: task.user_id == "boss")
            assert events(task)[:3] == ["assigned", "task_executed", "assigned"]
            task = await asyncio.to_thread(
                becomes, first(runs[1]), lambda task: task.status == UserTaskRunStatus.UNASSIGNED
            )
            assert (task.user_group, task.HasField("user_id")) == ("managers", False)
            await asyncio.to_thread(
                becomes, first(runs[2]), lambda task: task.status == UserTaskRunStatus.CANCELLED
            )
            assert (await asyncio.to_thread(stub.GetWfRun, runs[2])).status == LHStatus.ERROR
            await asyncio.to_thread(becomes, lambda: list(sent), bool)
            assert ("please", 1, "ut-0-1-1") in sent
        finally:
            worker.stop()
            polling.cancel()

    asyncio.run(scenario())


def test_approvals_in_parallel(server, unique):
    config = server.config()
    stub = config.stub()
    define_form(stub, unique)

    def wf(thread: WorkflowThread) -> None:
        approvers = thread.declare_json_arr("approvers").required()

        def approval(child: WorkflowThread) -> None:
            approver = child.declare_json_obj("INPUT")
            child.assign_user_task(
                unique,
                user_id=approver.with_json_path("$.user"),
                user_group=approver.with_json_path("$.group"),
            )

        thread.wait_for_threads(thread.spawn_thread_for_each(approvers, approval, "approval"))

    approvers = [{"user": "mia"}, {"group": "managers"}, {"user": "max", "group": "board"}]
    run_id = start(stub, config, unique, wf, approvers=approvers)
    tasks = tasks_of(stub, run_id)
    owners = [(task.user_id, task.user_group) for task in tasks]
    assert owners == [("mia", ""), ("", "managers"), ("max", "board")]
    for left, user in ((2, "mia"), (1, "mo"), (0, "max")):
        task = tasks[2 - left]
        done = CompleteUserTaskRunRequest(user_task_run_id=task.id, user_id=user, results=answers(approved=True))
        assert stub.GetWfRun(run_id).status == LHStatus.RUNNING
        stub.CompleteUserTaskRun(done)
        open_tasks = [task for task in tasks_of(stub, run_id) if task.status != UserTaskRunStatus.DONE]
        assert len(open_tasks) == left
    run = stub.GetWfRun(WfRunId(id=run_id.id))
    assert run.status == LHStatus.COMPLETED
    assert [thread.status for thread in run.thread_runs] == [LHStatus.COMPLETED] * 4
