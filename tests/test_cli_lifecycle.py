"""``glyph serve`` from start to end in processes of its own: it answers, and when it stops nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from deployments.bench.ports import free_port
from deployments.session import end_session

pytestmark = pytest.mark.serve

GLYPH = [sys.executable, "-c", "from deployments.cli import app; app()"]
SERVE = [*GLYPH, "serve", "--json"]
QUICKSTART = [sys.executable, "-m", "deployments.quickstart"]
SHARED_MEMORY = Path("/dev/shm")
START_TIMEOUT_S = 300.0  # of a busy machine with one core; a quiet one needs 20 s
STOP_TIMEOUT_S = 30.0


def is_running(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


@dataclass
class Served:
    """A command that serves, and what belongs to it."""

    command: list[str]
    port: int = field(default_factory=free_port)
    dashboard_port: int = field(default_factory=free_port)
    shared_memory_before: frozenset[str] = field(default_factory=lambda: frozenset(os.listdir(SHARED_MEMORY)))
    seen: set[psutil.Process] = field(default_factory=set)

    def start(self) -> None:
        ports = ["--port", str(self.port), "--dashboard-port", str(self.dashboard_port)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        self.process = subprocess.Popen([*self.command, *ports], stdout=subprocess.PIPE, text=True, env=environment)
        self.own = psutil.Process(self.process.pid)

    def look(self) -> set[str]:
        """Remembers every process that descends from it, and returns what they are called now."""
        with suppress(psutil.NoSuchProcess):
            self.seen |= set(self.own.children(recursive=True))
        names = set()
        for process in self.seen:
            with suppress(psutil.NoSuchProcess):
                names.add(process.name())
        return names

    def lines_until(self, last: str) -> list[str]:
        """What it prints on stdout up to the line that begins with ``last``."""
        assert self.process.stdout is not None
        lines: list[str] = []
        while not (lines and lines[-1].startswith(last)):
            lines.append(self.process.stdout.readline())
            assert lines[-1], f"ended with status {self.process.wait()} after {lines}"
        return lines

    def urls(self) -> dict[str, str]:
        printed = dict(json.loads("".join(self.lines_until("}"))))
        assert set(printed) == {"api", "page", "dashboard", "logs", "metrics"}, printed
        return printed

    def stop(self, number: signal.Signals) -> int:
        self.look()
        self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)

    def assert_nothing_is_left(self) -> None:
        assert [process for process in self.seen if is_running(process)] == []
        for port in (self.port, self.dashboard_port):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        assert set(os.listdir(SHARED_MEMORY)) <= self.shared_memory_before

    def kill_all(self) -> None:
        """After a test that failed: leaves nothing behind in any case."""
        self.look()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for session_id in {process.pid for process in self.seen}:
            end_session(session_id)
        for process in self.seen:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    made = Served(getattr(request, "param", SERVE))
    made.start()
    try:
        yield made
    finally:
        made.kill_all()


def test_it_answers_as_in_process_and_leaves_nothing_after_ctrl_c(served: Served, examples: Path) -> None:
    urls = served.urls()
    assert urls["api"] == f"http://127.0.0.1:{served.port}/v1"
    assert urls["dashboard"] == f"http://127.0.0.1:{served.dashboard_port}"
    assert httpx.get(f"http://127.0.0.1:{served.port}/healthz").status_code == 200
    assert httpx.get(urls["dashboard"]).status_code == 200

    question = [str(examples / "field_station_handbook.txt"), "What is the Gate Code?", "--json"]
    in_process, at_endpoint = (
        json.loads(subprocess.run([*GLYPH, "ask", *question, *where], check=True, capture_output=True).stdout)
        for where in ([], ["--url", urls["api"]])
    )
    assert at_endpoint["answer"] == in_process["answer"] == "5827"
    assert at_endpoint["usage"] == in_process["usage"]

    assert {"gcs_server", "raylet"} <= served.look()
    assert len(served.seen) > 10
    assert served.stop(signal.SIGINT) == 0
    served.assert_nothing_is_left()


@pytest.mark.parametrize("served", [QUICKSTART], indirect=True, ids=["quickstart"])
def test_quickstart_answers_stays_up_and_leaves_nothing_after_sigterm(served: Served) -> None:
    printed = dict(line.rstrip("\n").split(": ", 1) for line in served.lines_until("dashboard: "))
    assert printed["question"] == "What is the Governing Law?"
    assert printed["answer"] == "State of Vermont"
    assert {"timings", "pages", "document"} <= set(printed)
    assert httpx.get(f"{printed['api']}/models").json()["data"][0]["id"] == "glyph-mini"
    assert served.stop(signal.SIGTERM) == 0
    served.assert_nothing_is_left()


def test_it_stops_when_the_command_is_killed(served: Served) -> None:
    served.urls()
    served.stop(signal.SIGKILL)
    assert wait_until(lambda: not any(is_running(process) for process in served.seen), STOP_TIMEOUT_S)
    served.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("python", signal.SIGINT),
        ("gcs_server", signal.SIGTERM),
        ("raylet", signal.SIGINT),
        ("ray::ServeContro", signal.SIGTERM),
    ],
)
def test_stopped_while_it_starts_it_leaves_nothing(served: Served, moment: str, number: signal.Signals) -> None:
    """``moment``: a process that is there for the first time, from the keeper's child to Serve's controller."""
    assert wait_until(lambda: any(name.startswith(moment) for name in served.look()), START_TIMEOUT_S)
    assert served.stop(number) == 0
    served.assert_nothing_is_left()
