"""The served endpoint from inside: starts Ray and the app, says how far it is, and stops when its lifeline closes.

Run by :class:`deployments.endpoint.Endpoint` as ``python -m deployments.runtime EVENTS_FD``. The settings come as the
first line of standard input, which is the lifeline; events leave as JSON lines: ``{"phase": text}`` any number of
times, then ``{"ready": urls}`` or ``{"error": message}``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TextIO

import httpx
import psutil
import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview

from deployments.app import build_app, build_page
from deployments.endpoint import EndpointSettings, EndpointUrls
from deployments.http_api import PAGE_PREFIX
from deployments.session import end_session
from deployments.settings_check import app_args, check_room, page_args, tracing_config
from glyph_core.errors import ConfigError, GlyphError
from glyph_core.model.checkpoint import resolve_checkpoint

APP_NAME = "glyph"
PAGE_NAME = "page"
MIN_CPUS = 2  # of Ray's bookkeeping: the stages' shares sum to more than one
START_ATTEMPTS = 3
GIB = 1024**3
WARM_UP_TIMEOUT_S = 600.0
POLL_S = 0.1
RAISED = re.compile(r"^[\w.]*(?:Error|Exception): (\S.*)$", re.MULTILINE)

OnPhase = Callable[[str], None]


def main() -> None:
    events = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    os.set_inheritable(events.fileno(), False)  # Ray's processes would hold it open after us
    settings = EndpointSettings.model_validate_json(sys.stdin.readline())
    lifeline = Lifeline(sys.stdin)
    try:
        urls = start(settings, lambda phase: _send(events, phase=phase))
        lifeline.stay_until_closed(lambda: _send(events, ready=urls.model_dump()))
        serve.delete(PAGE_NAME, _blocking=False)  # open tabs hold on to it
        serve.delete(APP_NAME)  # lets the replicas finish what they are at
    except GlyphError as error:
        _send(events, error=error.message)
        sys.exit(1)
    finally:
        ray.shutdown()
        end_session(os.getpid())


class Lifeline:
    """Watches a stream that our parent holds open, also while the main thread is busy in Ray.

    Before :meth:`stay_until_closed` is called its closing ends this process at once: Ray's start cannot be
    interrupted, and nobody is being served yet.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._closed = threading.Event()
        self._is_staying = False
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True, name="lifeline").start()

    def stay_until_closed(self, on_staying: Callable[[], None]) -> None:
        with self._lock:
            self._is_staying = True
        on_staying()
        self._closed.wait()

    def _watch(self) -> None:
        self._stream.read()
        with self._lock:
            if not self._is_staying:
                end_session(os.getpid())
                os._exit(1)
        self._closed.set()


def start(settings: EndpointSettings, on_phase: OnPhase) -> EndpointUrls:
    """Starts everything and waits until the whole chain has answered.

    Raises ConfigError for settings that cannot work and ModelError for a model that is not there.
    """
    args = app_args(settings.app)
    page = page_args(settings.page, args)
    tracing = tracing_config(settings.tracing_config)
    on_phase("looking for the model")
    resolve_checkpoint(args.model.model)  # a wrong name is told before anything starts, a hub id is fetched once
    started = start_ray(
        settings.dashboard_port, on_phase, settings.metrics_port, object_store_bytes(settings.object_store_gb)
    )
    check_room(args, ray.cluster_resources(), page)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(http_options=serve.HTTPOptions(host=settings.host, port=settings.port), tracing_config=tracing)
    targets = [serve.RunTarget(build_app(args), name=APP_NAME, route_prefix="/")]
    if page is not None:
        targets.append(serve.RunTarget(build_page(page), name=PAGE_NAME, route_prefix=PAGE_PREFIX))
    serve.run_many(targets, wait_for_applications_running=False)
    for target in targets:
        wait_running(on_phase, str(target.name))
    url = settings.local_url
    on_phase("warming up")
    wait_healthy(f"{url}/healthz")
    return EndpointUrls(
        api=f"{url}/v1",
        page=f"{url}{PAGE_PREFIX}" if page is not None else None,
        dashboard=f"http://{started.dashboard}",
        logs=os.path.join(started.session_folder, "logs", "serve"),
        metrics=f"http://{started.metrics}/metrics",
    )


class StartedRay(NamedTuple):
    dashboard: str  # host:port
    session_folder: str
    metrics: str  # host:port


def object_store_bytes(asked_gb: float | None) -> int:
    """What is on its way between the stages lies in shared memory up to here, and beyond on disk. A page of a 9B model
    is 5 MB, and a request has some 30 of them on their way."""
    if asked_gb is not None:
        return int(asked_gb * GIB)
    return max(GIB, psutil.virtual_memory().total // 20)


def start_ray(
    dashboard_port: int | None,
    on_phase: OnPhase,
    metrics_port: int | None = None,
    object_store: int = GIB,
) -> StartedRay:
    """Where what was started is found. Raises ConfigError when Ray does not come up.

    Ray gives its node manager 30 s, which a busy machine or a first start from a cold disk can exceed.
    """
    for attempt in range(1, START_ATTEMPTS + 1):
        on_phase("starting Ray" if attempt == 1 else f"starting Ray, attempt {attempt}")
        try:
            context = ray.init(
                address="local",
                num_cpus=max(MIN_CPUS, os.cpu_count() or 1),
                include_dashboard=True,
                dashboard_port=dashboard_port,
                object_store_memory=object_store,
                log_to_driver=False,
                logging_level=logging.WARNING,
                _metrics_export_port=metrics_port,
            )
        except Exception as error:
            if not is_failed_start(error):
                raise
            reason = error
            ray.shutdown()
            end_session(os.getpid())  # what came up of it
        else:
            address = context.address_info
            metrics = f"{address['node_ip_address']}:{address['metrics_export_port']}"
            return StartedRay(str(context.dashboard_url), str(address["session_dir"]), metrics)
    raise ConfigError(f"Ray did not start in {START_ATTEMPTS} attempts: {reason}")


def is_failed_start(error: Exception) -> bool:
    """Whether Ray's processes did not come up, which the next attempt may not meet again.

    Ray has no class for it: its node manager's time-out is a bare ``Exception`` (``ray._private.node``), others are
    RuntimeErrors and ConnectionErrors. A wrong argument is none of these.
    """
    return type(error) is Exception or isinstance(error, RuntimeError | OSError | RayError)


def wait_running(on_phase: OnPhase, name: str = APP_NAME) -> None:
    """Raises ConfigError with the cause when a deployment fails."""
    told = ""
    while (app := serve.status().applications[name]).status != ApplicationStatus.RUNNING:
        if app.status in (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY):
            raise ConfigError(failure_of(app))
        waiting = [stage for stage, deployment in app.deployments.items() if deployment.status != "HEALTHY"]
        phase = f"starting {', '.join(waiting)}"
        if waiting and phase != told:
            on_phase(told := phase)
        time.sleep(POLL_S)


def failure_of(app: ApplicationStatusOverview) -> str:
    """The innermost error's own message, out of Serve's wrappings of tracebacks."""
    for name, deployment in app.deployments.items():
        if raised := RAISED.findall(deployment.message):
            return f"the {name} did not start: {raised[-1]}"
    return str(app.message)


def wait_healthy(url: str) -> None:
    """Until the warm-up request went through the whole chain. Raises ConfigError when that takes too long."""
    reason = "nobody listens"
    deadline = time.monotonic() + WARM_UP_TIMEOUT_S
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            response = httpx.get(url, timeout=WARM_UP_TIMEOUT_S, trust_env=False)
            if response.is_success:
                return
            reason = response.text
        time.sleep(POLL_S)
    raise ConfigError(f"the warm-up request was not answered within {WARM_UP_TIMEOUT_S:.0f} s: {reason}")


def _send(events: TextIO, **event: Any) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


if __name__ == "__main__":
    main()
