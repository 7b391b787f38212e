"""The served endpoint seen from outside: one child process that runs Ray and the app, and nothing left afterwards.

Ray starts some twenty processes. A few of them outlive its own shutdown by seconds, and a signal that arrives while
Ray starts can be lost in its C++ callbacks. So Ray lives in a child (``deployments.runtime``), in a session of its own
that a terminal's Ctrl-C does not reach. This process imports no Ray: it tells the child when to stop and then ends
whatever is left of the child's session. The child holds one end of a pipe, the lifeline, and stops when the other end
closes, which also happens when this process is killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from tempfile import TemporaryDirectory
from types import FrameType, TracebackType
from typing import IO, Any, NoReturn, Self

from pydantic import Field

from deployments.session import end_session
from glyph_core.config import Config
from glyph_core.errors import ConfigError, StageError

STOP_GRACE_S = 10.0  # for answers on their way and for Ray's own shutdown; what is left then is killed
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndpointSettings(Config):
    """What the child is told: where to listen, and the arguments of ``deployments.app.build_app``."""

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(7860, ge=1, le=65535)
    dashboard_port: int | None = Field(None, ge=1, le=65535, description="None: 8265, or the next that is free")
    metrics_port: int | None = Field(None, ge=1, le=65535, description="of Ray's Prometheus endpoint; None: any")
    object_store_gb: float | None = Field(
        None, gt=0, description="for what is on its way between the stages; None: a twentieth of the memory, at least 1"
    )
    tracing_config: dict[str, Any] | None = Field(None, description="Serve's own, for OpenTelemetry; None: no spans")
    app: dict[str, Any] = Field(default_factory=dict)
    page: dict[str, Any] | None = Field(
        default_factory=dict, description="the arguments of ``deployments.app.build_page``; None: no page"
    )

    @property
    def local_url(self) -> str:
        """Where this machine reaches it, whatever addresses it listens on."""
        return local_url(self.host, self.port)


def local_url(host: str, port: int) -> str:
    """Where this machine reaches what listens on ``host``."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)
    return f"http://{name}:{port}"


class EndpointUrls(Config):
    """Where a ready endpoint is found."""

    api: str
    page: str | None = None  # for people, in a browser
    dashboard: str
    logs: str  # a folder
    metrics: str  # of everything that Ray runs here, for Prometheus


def check_port_is_free(host: str, port: int) -> None:
    """Raises ConfigError where nobody could listen on ``host`` and ``port``."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another host or port, or stop "
            "what listens there"
        ) from error


@contextmanager
def stop_signals_interrupt() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP end the program the way Ctrl-C does: by a KeyboardInterrupt."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Endpoint:
    """A child that serves. Use it as a context manager: on leaving it, every process of the child's is gone.

    Raises ConfigError where the port is taken.
    """

    def __init__(self, settings: EndpointSettings, module: str = "deployments.runtime") -> None:
        check_port_is_free(settings.host, settings.port)
        for port in (settings.dashboard_port, settings.metrics_port):
            if port is not None:
                check_port_is_free("127.0.0.1", port)
        # What people drop on the page lies there until the endpoint has it, and goes with the endpoint.
        self._uploads = TemporaryDirectory(prefix="glyph-page-", ignore_cleanup_errors=True)
        self._process, self._lifeline, self._events = _spawn(module, {"GRADIO_TEMP_DIR": self._uploads.name})
        self._is_ready = False
        with suppress(BrokenPipeError):  # it has ended already: wait_ready says so
            self._lifeline.write(settings.model_dump_json() + "\n")
            self._lifeline.flush()

    def wait_ready(self, on_phase: Callable[[str], None]) -> EndpointUrls:
        """Blocks until the endpoint has answered its warm-up request; ``on_phase`` hears what it is busy with.

        Raises ConfigError with the child's own message when it cannot serve, StageError when it just ended.
        """
        for line in self._events:
            match json.loads(line):
                case {"phase": str(phase)}:
                    on_phase(phase)
                case {"ready": dict(urls)}:
                    self._is_ready = True
                    return EndpointUrls.model_validate(urls)
                case {"error": str(message)}:
                    raise ConfigError(message)
        raise StageError(f"the endpoint ended with status {self._process.wait()} before it was ready")

    def wait(self) -> NoReturn:
        """Blocks for as long as the endpoint serves. Raises StageError when it ends unasked."""
        raise StageError(f"the endpoint ended by itself with status {self._process.wait()}; its logs say why")

    def stop(self) -> None:
        """Ends the child and all that it started.

        One that serves may finish what it is at, until its time is up or somebody asks a second time.
        """
        with suppress(BrokenPipeError):  # it has ended already
            self._lifeline.close()
        try:
            self._process.wait(STOP_GRACE_S if self._is_ready else 0)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()
        finally:
            end_session(self._process.pid)
            self._events.close()
            self._uploads.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _spawn(module: str, environment: Mapping[str, str]) -> tuple[subprocess.Popen[str], IO[str], IO[str]]:
    """The child, the end of the lifeline to it and the end of its events; what it prints goes to our stderr."""
    read_fd, write_fd = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(write_fd)],
            stdin=subprocess.PIPE,
            stdout=sys.stderr.fileno(),
            pass_fds=(write_fd,),
            start_new_session=True,
            env=ray_environment({**environment, **os.environ}),
            text=True,
        )
    finally:
        os.close(write_fd)
    assert process.stdin is not None  # asked for above
    return process, process.stdin, os.fdopen(read_fd, encoding="utf-8")


def ray_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` with what Ray is to find in it; a choice that the user made stands."""
    ours = {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Whoever reaches Ray's ports can run code. The token keeps other users of this machine out; Ray makes it
        # once, in ~/.ray/auth_token, and its own commands and the dashboard ask for it.
        "RAY_AUTH_MODE": "token",
        # In spite of its name this holds on Linux too: 0 binds Ray's own ports to the loopback address.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Ray runs its workers at nice 15, as batch jobs. These serve: anything else on the machine would starve them.
        "RAY_worker_niceness": "0",
        # Encoder and decoder share cores: threads of tensor work that spin while they wait would take the other's.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return ours | {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
