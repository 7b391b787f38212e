"""Every kernel compiles for the card that is aimed at and the one that is measured on; no GPU is needed for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED_BYTES = {89: 99 * 1024, 90: 227 * 1024}  # that a program may have


@pytest.mark.slow
@pytest.mark.parametrize("sm", [89, 90])
def test_shared_memory(sm: int) -> None:
    pytest.importorskip("triton", reason="the package triton is not installed")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.engine.compile_kernels", f"{sm}"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert run.returncode == 0, run.stderr
    used = json.loads(run.stdout)
    assert len(used) == 33
    assert {name: size for name, size in used.items() if size > SHARED_BYTES[sm]} == {}
