"""Registers a task and a workflow, runs a worker, runs the workflow, and sees it COMPLETED.

pip install littlehorse-client==1.3.0
python examples/quickstart/quickstart.py
"""

import asyncio

import littlehorse
from littlehorse.config import LHConfig
from littlehorse.model import LHStatus, RunWfRequest, VariableType, WfRunId
from littlehorse.worker import LHTaskWorker
from littlehorse.workflow import Workflow, WorkflowThread


async def greet(name: str) -> str:
    print(f"The worker greets {name}")
    return f"Hello, {name}!"


def greeting(thread: WorkflowThread) -> None:
    name = thread.declare_str("name").required()
    message = thread.declare_str("message")
    message.assign(thread.execute("greet", name))


async def main() -> None:
    config = LHConfig()  # LHC_API_HOST and LHC_API_PORT, or localhost:2023
    server = config.stub(name="quickstart", async_channel=True)
    worker = LHTaskWorker(greet, "greet", config)
    worker.register_task_def()
    littlehorse.create_workflow_spec(Workflow("greeting", greeting), config)
    polling = asyncio.create_task(worker.start())

    variables = {"name": littlehorse.to_variable_value("Ironhorse")}
    run = await server.RunWf(RunWfRequest(wf_spec_name="greeting", variables=variables))
    while (run := await server.GetWfRun(WfRunId(id=run.id.id))).status == LHStatus.RUNNING:
        await asyncio.sleep(0.01)
    print(f"WfRun {run.id.id} is {LHStatus.Name(run.status)}")

    worker.stop()
    polling.cancel()


if __name__ == "__main__":
    asyncio.run(main())
