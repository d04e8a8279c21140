"""The quick start of the README, as printed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "examples" / "quickstart" / "quickstart.py"


def test_quickstart_runs_as_printed(server):
    env = dict(os.environ, LHC_API_HOST="127.0.0.1", LHC_API_PORT=str(server.port))
    done = subprocess.run([sys.executable, str(QUICKSTART)], env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "The worker greets Ironhorse" in done.stdout
    assert "is COMPLETED" in done.stdout


def test_readme_prints_the_quickstart():
    assert QUICKSTART.read_text().split('"""', 2)[2].strip() in (ROOT / "README.md").read_text()
