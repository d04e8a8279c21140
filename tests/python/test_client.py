"""What users of the official Python client do with this version."""

import asyncio
import time

import grpc
import littlehorse
import pytest
from littlehorse.model import (
    DeleteWfRunRequest,
    ExternalEventDefId,
    LHStatus,
    ListNodeRunsRequest,
    ListTaskRunsRequest,
    ListVariablesRequest,
    NodeRunId,
    PutExternalEventDefRequest,
    PutExternalEventRequest,
    ResumeWfRunRequest,
    RunWfRequest,
    SearchTaskRunRequest,
    SearchWfRunRequest,
    StopWfRunRequest,
    TaskStatus,
    VariableType,
    WfRunId,
    WfSpecId,
)
from littlehorse.worker import LHTaskWorker, WorkerContext
from littlehorse.workflow import Workflow, WorkflowThread
from google.protobuf.empty_pb2 import Empty


class Workers:
    """Workers in an event loop, stopped at the end of the block."""

    def __init__(self, config, **tasks):
        self.config = config
        self.workers = [LHTaskWorker(callable, name, config) for name, callable in tasks.items()]
        for worker in self.workers:
            worker.register_task_def()

    async def __aenter__(self):
        self.polling = [asyncio.create_task(worker.start()) for worker in self.workers]
        return self

    async def __aexit__(self, *_):
        for worker in self.workers:
            worker.stop()
        for polling in self.polling:
            polling.cancel()


async def ended(stub, run_id, timeout=10.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        run = await stub.GetWfRun(WfRunId(id=run_id))
        if run.status in (LHStatus.COMPLETED, LHStatus.ERROR, LHStatus.EXCEPTION):
            return run
        await asyncio.sleep(0.005)
    raise TimeoutError(f"WfRun {run_id} is still {LHStatus.Name(run.status)}")


def test_conditions_and_mutations(server, unique):
    config = server.config()
    task = f"double-{unique}"

    async def double(number: int) -> int:
        return number * 2

    def wf(thread: WorkflowThread) -> None:
        number = thread.declare_int("number").required()
        size = thread.declare_str("size")
        number.assign(thread.execute(task, number))

        def large(body: WorkflowThread) -> None:
            size.assign("large")

        def small(body: WorkflowThread) -> None:
            size.assign("small")

        thread.do_if(number.is_greater_than(10), large, small)

    async def scenario():
        async with Workers(config, **{task: double}):
            littlehorse.create_workflow_spec(Workflow(unique, wf), config)
            stub = config.stub(name=unique, async_channel=True)
            for given, size in ((3, "small"), (8, "large")):
                variables = {"number": littlehorse.to_variable_value(given)}
                run = await stub.RunWf(RunWfRequest(wf_spec_name=unique, variables=variables))
                run = await ended(stub, run.id.id)
                assert run.status == LHStatus.COMPLETED
                listed = await stub.ListVariables(ListVariablesRequest(wf_run_id=run.id))
                values = {variable.id.name: variable.value for variable in listed.results}
                assert values["number"].int == given * 2
                assert values["size"].str == size
                tasks = await stub.ListTaskRuns(ListTaskRunsRequest(wf_run_id=run.id))
                assert [task_run.status for task_run in tasks.results] == [TaskStatus.TASK_SUCCESS]
                nodes = await stub.ListNodeRuns(ListNodeRunsRequest(wf_run_id=run.id))
                assert [node.id.position for node in nodes.results] == list(range(len(nodes.results)))

    asyncio.run(scenario())


def test_an_exception_and_a_failing_task(server, unique):
    from littlehorse.exceptions import LHTaskException

    config = server.config()
    attempts = []

    async def failing(context: WorkerContext) -> None:
        attempts.append(context.attempt_number)
        raise RuntimeError("no luck")

    async def throwing() -> None:
        raise LHTaskException("out-of-stock", "nothing left")

    def wf(name: str):
        def build(thread: WorkflowThread) -> None:
            thread.execute(name, retries=2)

        return build

    async def scenario():
        names = {f"failing-{unique}": failing, f"throwing-{unique}": throwing}
        async with Workers(config, **names):
            stub = config.stub(name=unique, async_channel=True)
            for name, status, failure in (
                (f"failing-{unique}", LHStatus.ERROR, "TASK_FAILURE"),
                (f"throwing-{unique}", LHStatus.EXCEPTION, "out-of-stock"),
            ):
                littlehorse.create_workflow_spec(Workflow(name, wf(name)), config)
                run = await stub.RunWf(RunWfRequest(wf_spec_name=name))
                run = await ended(stub, run.id.id)
                assert run.status == status
                node = await stub.GetNodeRun(NodeRunId(wf_run_id=run.id, thread_run_number=0, position=1))
                assert node.failures[0].failure_name == failure
        assert attempts == [0, 1, 2]

    asyncio.run(scenario())


def test_an_event_before_and_after_its_node(server, unique):
    config = server.config()
    event = f"payment-{unique}"

    def wf(thread: WorkflowThread) -> None:
        paid = thread.declare_int("paid")
        paid.assign(thread.wait_for_event(event))

    async def scenario():
        stub = config.stub(name=unique, async_channel=True)
        await stub.PutExternalEventDef(PutExternalEventDefRequest(name=event))
        littlehorse.create_workflow_spec(Workflow(unique, wf), config)
        for early in (True, False):
            run_id = f"{unique}-{int(early)}"
            put = PutExternalEventRequest(
                wf_run_id=WfRunId(id=run_id),
                external_event_def_id=ExternalEventDefId(name=event),
                guid="once",
                content=littlehorse.to_variable_value(42),
            )
            if early:
                assert not (await stub.PutExternalEvent(put)).claimed
            run = await stub.RunWf(RunWfRequest(wf_spec_name=unique, id=run_id))
            if not early:
                assert run.status == LHStatus.RUNNING
                assert (await stub.PutExternalEvent(put)).claimed
            run = await ended(stub, run_id)
            assert run.status == LHStatus.COMPLETED
            with pytest.raises(grpc.RpcError) as again:
                await stub.PutExternalEvent(put)
            assert again.value.code() == grpc.StatusCode.ALREADY_EXISTS

    asyncio.run(scenario())


def test_stop_resume_delete_and_search(server, unique):
    config = server.config()
    event = f"go-{unique}"

    def wf(thread: WorkflowThread) -> None:
        thread.wait_for_event(event)

    async def scenario():
        stub = config.stub(name=unique, async_channel=True)
        await stub.PutExternalEventDef(PutExternalEventDefRequest(name=event))
        littlehorse.create_workflow_spec(Workflow(unique, wf), config)
        run_id = WfRunId(id=unique)
        await stub.RunWf(RunWfRequest(wf_spec_name=unique, id=unique))

        await stub.StopWfRun(StopWfRunRequest(wf_run_id=run_id))
        assert (await stub.GetWfRun(run_id)).status == LHStatus.HALTED
        put = PutExternalEventRequest(wf_run_id=run_id, external_event_def_id=ExternalEventDefId(name=event))
        assert not (await stub.PutExternalEvent(put)).claimed
        await stub.ResumeWfRun(ResumeWfRunRequest(wf_run_id=run_id))
        assert (await stub.GetWfRun(run_id)).status == LHStatus.COMPLETED

        found = await stub.SearchWfRun(SearchWfRunRequest(wf_spec_name=unique, status=LHStatus.COMPLETED))
        assert [result.id for result in found.results] == [unique]
        await stub.DeleteWfRun(DeleteWfRunRequest(id=run_id))
        with pytest.raises(grpc.RpcError) as gone:
            await stub.GetWfRun(run_id)
        assert gone.value.code() == grpc.StatusCode.NOT_FOUND
        assert not (await stub.SearchWfRun(SearchWfRunRequest(wf_spec_name=unique))).results

    asyncio.run(scenario())


def test_what_is_not_built_says_so(server):
    stub = server.config().stub()
    with pytest.raises(grpc.RpcError) as refused:
        stub.MigrateWfSpec(littlehorse.model.MigrateWfSpecRequest())
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "MigrateWfSpec" in refused.value.details()


def test_version_and_principal(server):
    stub = server.config().stub()
    version = stub.GetServerVersion(Empty())
    assert (version.major_version, version.minor_version) == (1, 3)
    assert stub.Whoami(Empty()).id.id == "anonymous"
