"""The process that keeps the endpoint's child: what it tells it, what it does when it misbehaves, what it leaves."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deployments.bench.ports import free_port
from deployments.endpoint import (
    Endpoint,
    EndpointSettings,
    check_port_is_free,
    ray_environment,
    stop_signals_interrupt,
)
from deployments.session import end_session
from glyph_core.errors import ConfigError, StageError

PRELUDE = """
import json, os, signal, subprocess, sys, time
events = os.fdopen(int(sys.argv[1]), "w")
settings = json.loads(sys.stdin.readline())
def send(**event):
    events.write(json.dumps(event) + chr(10)); events.flush()
def urls(**given):
    return dict(api="", dashboard="", logs="", metrics="") | given

def leave_orphan():  # a grandchild that ignores polite signals and outlives its parent
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    orphan = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    orphan.stdout.readline()
    return orphan.pid
"""

MakeChild = Callable[[str], str]


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeChild:
    """Writes a child's program and returns the module name to run it by."""

    def write(body: str) -> str:
        (tmp_path / "child_of_test.py").write_text(PRELUDE + textwrap.dedent(body))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return "child_of_test"

    return write


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> EndpointSettings:
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)  # the child inherits a real file
    return EndpointSettings(port=free_port(), app={"model": {"model": "some"}})


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_ready_child_is_told_its_settings_and_stops_when_the_lifeline_closes(
    child: MakeChild, settings: EndpointSettings, tmp_path: Path
) -> None:
    module = child(f"""
        send(phase="one"); send(phase="two")
        send(ready=urls(api=str(settings["port"]), dashboard=settings["app"]["model"]["model"], logs=settings["host"]))
        sys.stdin.read()
        open({str(tmp_path / "stopped")!r}, "w").close()
    """)
    phases: list[str] = []
    with Endpoint(settings, module) as endpoint:
        urls = endpoint.wait_ready(phases.append)
        assert not (tmp_path / "stopped").exists()
    assert phases == ["one", "two"]
    assert (urls.api, urls.dashboard, urls.logs) == (str(settings.port), "some", "127.0.0.1")
    assert (tmp_path / "stopped").exists()


def test_what_was_dropped_on_the_page_goes_with_the_endpoint(
    child: MakeChild, settings: EndpointSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    module = child("""
        folder = os.environ["GRADIO_TEMP_DIR"]
        open(os.path.join(folder, "a.txt"), "w").close()
        send(ready=urls(logs=folder))
        sys.stdin.read()
    """)
    with Endpoint(settings, module) as endpoint:
        folder = Path(endpoint.wait_ready(lambda phase: None).logs)
        assert (folder / "a.txt").exists()
    assert not folder.exists()


def test_orphans_of_the_child_are_ended(child: MakeChild, settings: EndpointSettings) -> None:
    module = child("""
        send(ready=urls(api=str(leave_orphan())))
        sys.stdin.read()
    """)
    with Endpoint(settings, module) as endpoint:
        orphan = int(endpoint.wait_ready(lambda phase: None).api)
        assert is_running(orphan)
    assert not is_running(orphan)


def test_a_process_of_somebody_else_stays(child: MakeChild, settings: EndpointSettings) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with Endpoint(settings, child("send(ready=urls()); sys.stdin.read()")) as endpoint:
            endpoint.wait_ready(lambda phase: None)
        assert is_running(other.pid)
    finally:
        other.kill()
        other.wait()


def test_a_child_that_does_not_stop_is_killed(
    child: MakeChild, settings: EndpointSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.endpoint.STOP_GRACE_S", 0.2)
    module = child("send(ready=urls(api=str(os.getpid()))); time.sleep(600)")
    with Endpoint(settings, module) as endpoint:
        pid = int(endpoint.wait_ready(lambda phase: None).api)
    assert not is_running(pid)


def test_what_the_child_cannot_do_is_told_in_its_words(child: MakeChild, settings: EndpointSettings) -> None:
    module = child('send(error="no such model"); sys.stdin.read()')
    with Endpoint(settings, module) as endpoint, pytest.raises(ConfigError, match=r"^no such model$"):
        endpoint.wait_ready(lambda phase: None)


@pytest.mark.parametrize("body", ["sys.exit(3)", "send(phase='one'); os._exit(3)"])
def test_a_child_that_ends_early_is_an_error(child: MakeChild, settings: EndpointSettings, body: str) -> None:
    with Endpoint(settings, child(body)) as endpoint, pytest.raises(StageError, match="status 3 before it was ready"):
        endpoint.wait_ready(lambda phase: None)


def test_a_child_that_ends_while_it_serves_is_an_error(child: MakeChild, settings: EndpointSettings) -> None:
    module = child("send(ready=urls()); time.sleep(0.2); sys.exit(4)")
    with Endpoint(settings, module) as endpoint:
        endpoint.wait_ready(lambda phase: None)
        with pytest.raises(StageError, match="by itself with status 4"):
            endpoint.wait()


def test_when_its_keeper_is_killed_the_child_stops(child: MakeChild, tmp_path: Path) -> None:
    module = child(f"send(ready=urls()); sys.stdin.read(); open({str(tmp_path / 's')!r}, 'w')")
    keeper = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(f"""
            from deployments.endpoint import Endpoint, EndpointSettings
            endpoint = Endpoint(EndpointSettings(port={free_port()}), {module!r})
            endpoint.wait_ready(lambda phase: None)
            print(1, flush=True)
            endpoint.wait()
        """)],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert keeper.stdout is not None
    keeper.stdout.readline()
    keeper.kill()
    keeper.wait()
    keeper.stdout.close()
    deadline = time.monotonic() + 20
    while not (tmp_path / "s").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "s").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_signals_interrupt_and_are_given_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stop_signals_interrupt():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_a_port_in_use_is_refused_by_number() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1 port {port}: .*in use"):
            check_port_is_free("127.0.0.1", port)
        with pytest.raises(ConfigError, match=str(port)):
            Endpoint(EndpointSettings(port=port), "no_such_module")
    check_port_is_free("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_a_host_that_is_not_ours_is_refused_by_name(host: str) -> None:
    with pytest.raises(ConfigError, match=host):
        check_port_is_free(host, free_port())


def test_ray_is_told_what_we_want_unless_the_user_decided() -> None:
    ours = ray_environment({"HOME": "/h", "RAY_ADDRESS": "auto"})
    assert ours["RAY_AUTH_MODE"] == "token"
    assert ours["RAY_USAGE_STATS_ENABLED"] == "0"
    assert ours["HOME"] == "/h"
    assert "RAY_ADDRESS" not in ours  # it would take us to somebody else's cluster
    assert ray_environment({"RAY_AUTH_MODE": "disabled"})["RAY_AUTH_MODE"] == "disabled"


def test_a_session_without_members_ends_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    process.wait()
    end_session(process.pid)


def test_the_keeper_imports_no_ray() -> None:
    code = "import sys, deployments.endpoint; sys.exit('ray' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_quickstart_tells_its_options_before_it_installs_anything() -> None:
    script = Path(__file__).parent.parent / "scripts" / "quickstart"
    told = subprocess.run([script, "--help"], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=True)
    assert "--once" in told.stdout
    assert "--port" in told.stdout
    assert "set -e" not in told.stdout
    assert told.stderr == ""
