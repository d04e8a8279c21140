"""What the official Python client's examples do: threads, handlers, events, children."""

import asyncio

import littlehorse
import pytest
from littlehorse.model import (
    AwaitWorkflowEventRequest,
    CorrelatedEventConfig,
    ExternalEventDefId,
    LHStatus,
    PutCorrelatedEventRequest,
    PutExternalEventDefRequest,
    PutExternalEventRequest,
    RunWfRequest,
    ScheduleWfRequest,
    SearchWfRunRequest,
    VariableId,
    WfRunId,
    WorkflowEventDefId,
)
from littlehorse.workflow import SpawnedThreads, Workflow, WorkflowThread

from test_client import Workers, ended


def event(run_id: WfRunId, name: str, content) -> PutExternalEventRequest:
    return PutExternalEventRequest(
        wf_run_id=run_id,
        external_event_def_id=ExternalEventDefId(name=name),
        content=littlehorse.to_variable_value(content),
    )


async def value(stub, run_id: WfRunId, name: str, thread: int = 0):
    found = await stub.GetVariable(VariableId(wf_run_id=run_id, thread_run_number=thread, name=name))
    return found.value


def test_child_threads(server, unique):
    config = server.config()
    task = f"square-{unique}"

    async def square(number: int) -> int:
        return number * number

    def wf(thread: WorkflowThread) -> None:
        total = thread.declare_int("total", default_value=0)
        numbers = thread.declare_json_arr("numbers")

        def one(name: str):
            def body(child: WorkflowThread) -> None:
                number = child.declare_int(name)
                total.assign(total.add(child.execute(task, number)))

            return body

        def each(child: WorkflowThread) -> None:
            item = child.declare_int("INPUT")
            total.assign(total.add(item))

        first = thread.spawn_thread(one("three"), "first", {"three": 3})
        second = thread.spawn_thread(one("four"), "second", {"four": 4})
        thread.wait_for_threads(SpawnedThreads.from_list(first, second))
        thread.wait_for_threads(thread.spawn_thread_for_each(numbers, each, "each"))

    async def scenario():
        stub = config.stub(async_channel=True)
        async with Workers(config, **{task: square}):
            littlehorse.create_workflow_spec(Workflow(unique, wf), config)
            run = RunWfRequest(
                wf_spec_name=unique,
                id=unique,
                variables={"numbers": littlehorse.to_variable_value([10, 20, 30])},
            )
            await stub.RunWf(run)
            assert (await ended(stub, unique)).status == LHStatus.COMPLETED
            assert (await value(stub, WfRunId(id=unique), "total")).int == 9 + 16 + 60

    asyncio.run(scenario())


def test_interrupts_and_a_condition(server, unique):
    config = server.config()
    stop, name = f"change-{unique}", f"name-{unique}"

    def wf(thread: WorkflowThread) -> None:
        count = thread.declare_int("count", default_value=0)

        def handler(body: WorkflowThread) -> None:
            by = body.declare_int("INPUT")
            count.assign(count.add(by))

        thread.add_interrupt_handler(stop, handler)
        thread.wait_for_condition(count.is_greater_than_eq(5))
        thread.wait_for_event(name)

    async def scenario():
        stub = config.stub(async_channel=True)
        for event_def in (stop, name):
            await stub.PutExternalEventDef(PutExternalEventDefRequest(name=event_def))
        littlehorse.create_workflow_spec(Workflow(unique, wf), config)
        run = await stub.RunWf(RunWfRequest(wf_spec_name=unique, id=unique))
        for by in (2, 2):
            await stub.PutExternalEvent(event(run.id, stop, by))
        early = await stub.PutExternalEvent(event(run.id, name, "early"))
        assert not early.claimed
        await stub.PutExternalEvent(event(run.id, stop, 1))
        assert (await ended(stub, unique)).status == LHStatus.COMPLETED
        assert (await value(stub, run.id, "count")).int == 5

    asyncio.run(scenario())


def test_errors_and_exceptions_are_handled(server, unique):
    config = server.config()
    task = f"fails-{unique}"

    async def fails() -> None:
        raise RuntimeError("no luck")

    def wf(thread: WorkflowThread) -> None:
        handled = thread.declare_str("handled")

        def on_error(body: WorkflowThread) -> None:
            handled.assign("error")

        def on_exception(body: WorkflowThread) -> None:
            handled.assign("exception")

        def child(body: WorkflowThread) -> None:
            body.fail("out-of-stock", "nothing left")

        thread.handle_error(thread.execute(task), on_error)
        spawned = thread.spawn_thread(child, "child")
        waited = thread.wait_for_threads(SpawnedThreads.from_list(spawned))
        thread.handle_exception(waited, on_exception, "out-of-stock")

    async def scenario():
        stub = config.stub(async_channel=True)
        async with Workers(config, **{task: fails}):
            littlehorse.create_workflow_spec(Workflow(unique, wf), config)
            await stub.RunWf(RunWfRequest(wf_spec_name=unique, id=unique))
            assert (await ended(stub, unique)).status == LHStatus.COMPLETED
            assert (await value(stub, WfRunId(id=unique), "handled")).str == "exception"

    asyncio.run(scenario())


@pytest.mark.parametrize("event_first", [True, False])
def test_correlated_events(server, unique, event_first):
    config = server.config()
    paid = f"paid-{unique}"

    def wf(thread: WorkflowThread) -> None:
        order = thread.declare_str("order").required()
        amount = thread.declare_int("amount")
        settings = CorrelatedEventConfig(delete_after_first_correlation=True)
        amount.assign(
            thread.wait_for_event(paid, correlation_id=order, return_type=int, correlated_event_config=settings)
        )

    async def scenario():
        stub = config.stub(async_channel=True)
        littlehorse.create_workflow_spec(Workflow(unique, wf), config)
        run = RunWfRequest(
            wf_spec_name=unique, id=unique, variables={"order": littlehorse.to_variable_value("order-1")}
        )
        put = PutCorrelatedEventRequest(
            key="order-1",
            external_event_def_id=ExternalEventDefId(name=paid),
            content=littlehorse.to_variable_value(99),
        )
        if event_first:
            await stub.PutCorrelatedEvent(put)
            await stub.RunWf(run)
        else:
            await stub.RunWf(run)
            await stub.PutCorrelatedEvent(put)
        assert (await ended(stub, unique)).status == LHStatus.COMPLETED
        assert (await value(stub, WfRunId(id=unique), "amount")).int == 99

    asyncio.run(scenario())


def test_a_workflow_event_is_awaited(server, unique):
    config = server.config()
    go, done = f"go-{unique}", f"done-{unique}"

    def wf(thread: WorkflowThread) -> None:
        name = thread.declare_str("name")
        name.assign(thread.wait_for_event(go, return_type=str))
        thread.throw_event(done, thread.format("hello {0}", name), return_type=str)

    async def scenario():
        stub = config.stub(async_channel=True)
        littlehorse.create_workflow_spec(Workflow(unique, wf), config)
        run_id = WfRunId(id=unique)
        awaited = asyncio.ensure_future(
            stub.AwaitWorkflowEvent(
                AwaitWorkflowEventRequest(wf_run_id=run_id, event_def_ids=[WorkflowEventDefId(name=done)])
            )
        )
        await asyncio.sleep(0.1)
        await stub.RunWf(RunWfRequest(wf_spec_name=unique, id=unique))
        await stub.PutExternalEvent(event(run_id, go, "you"))
        thrown = await asyncio.wait_for(awaited, 10)
        assert thrown.content.str == "hello you"
        assert thrown.id.number == 0

    asyncio.run(scenario())


def test_child_workflows(server, unique):
    config = server.config()
    child, parent, heir = f"child-{unique}", f"parent-{unique}", f"heir-{unique}"
    go = f"go-{unique}"

    def child_wf(thread: WorkflowThread) -> None:
        name = thread.declare_str("name").required()
        thread.complete(thread.format("hello {0}", name))

    def parent_wf(thread: WorkflowThread) -> None:
        greeting = thread.declare_str("greeting").as_public()
        spawned = thread.run_wf(child, {"name": "you"})
        greeting.assign(thread.wait_for_child_wf(spawned))
        named = thread.run_wf(child, {"name": "me"}, child_id="chosen")
        thread.wait_for_child_wf(named)

    def heir_wf(thread: WorkflowThread) -> None:
        greeting = thread.declare_str("greeting").as_inherited()
        greeting.assign(thread.wait_for_event(go, return_type=str))

    async def scenario():
        stub = config.stub(async_channel=True)
        littlehorse.create_workflow_spec(Workflow(child, child_wf), config)
        littlehorse.create_workflow_spec(Workflow(parent, parent_wf), config)
        littlehorse.create_workflow_spec(Workflow(heir, heir_wf, parent), config)
        run = await stub.RunWf(RunWfRequest(wf_spec_name=parent, id=unique))
        assert (await ended(stub, unique)).status == LHStatus.COMPLETED
        assert (await value(stub, run.id, "greeting")).str == "hello you"
        found = await stub.SearchWfRun(SearchWfRunRequest(parent_wf_run_id=run.id))
        assert len(found.results) == 2
        assert "chosen" in [result.id for result in found.results]
        await stub.RunWf(RunWfRequest(wf_spec_name=heir, id="heir", parent_wf_run_id=run.id))
        await stub.PutExternalEvent(event(WfRunId(id="heir", parent_wf_run_id=run.id), go, "changed"))
        assert (await value(stub, run.id, "greeting")).str == "changed"

    asyncio.run(scenario())


def test_a_schedule(server, unique):
    config = server.config()

    def wf(thread: WorkflowThread) -> None:
        thread.declare_str("name")

    async def scenario():
        stub = config.stub(async_channel=True)
        littlehorse.create_workflow_spec(Workflow(unique, wf), config)
        made = await stub.ScheduleWf(
            ScheduleWfRequest(
                wf_spec_name=unique,
                cron_expression="0 5 * * MON-FRI",
                variables={"name": littlehorse.to_variable_value("x")},
            )
        )
        assert (await stub.GetScheduledWfRun(made.id)).cron_expression == "0 5 * * MON-FRI"

    asyncio.run(scenario())
