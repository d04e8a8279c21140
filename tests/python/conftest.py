"""A server on free ports and a temporary directory, for tests with the official client."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

import pytest
from littlehorse.config import LHConfig

BIN = os.environ.pop("IRONHORSE_TEST_BIN")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """One `ironhorse server` process; it can be killed and started again on the same data."""

    def __init__(self, data_dir: Path, groups: int):
        self.data_dir = data_dir
        self.groups = groups
        self.port = free_port()
        self.http = free_port()
        self.process = None

    def start(self) -> "Server":
        self.process = subprocess.Popen(
            [
                BIN,
                "server",
                "--data-dir",
                str(self.data_dir),
                "--listen",
                f"127.0.0.1:{self.port}",
                "--http",
                f"127.0.0.1:{self.http}",
                "--groups",
                str(self.groups),
            ],
            stdout=subprocess.DEVNULL,
            stderr=open(self.data_dir.parent / "server.log", "ab"),
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.data_dir.parent / "server.log").read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readiness", timeout=1) as reply:
                    if reply.status == 200:
                        return self
            except OSError:
                time.sleep(0.01)
        raise TimeoutError((self.data_dir.parent / "server.log").read_text())

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=30)

    def config(self) -> LHConfig:
        config = LHConfig()
        config.load({"LHC_API_HOST": "127.0.0.1", "LHC_API_PORT": str(self.port)})
        return config


@pytest.fixture(scope="session")
def server():
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        data.mkdir()
        running = Server(data, groups=2).start()
        yield running
        assert running.stop() == 0, (data.parent / "server.log").read_text()


@pytest.fixture
def unique() -> str:
    return uuid.uuid4().hex[:12]
