"""A measurement that starts Ray, in a process session of its own, of which nothing is left afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from deployments.bench.report import Json as Json
from deployments.bench.report import Show as Show
from deployments.endpoint import ray_environment
from deployments.session import end_session
from glyph_core.errors import StageError


def run_apart(module: str, arguments: Json, show: Show) -> Json:
    """What ``module``, run as a script that calls :func:`report_to_parent`, reports; ``show`` hears its phases.

    Raises StageError where it ends without a report.
    """
    read_fd, write_fd = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(write_fd), json.dumps(arguments)],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            pass_fds=(write_fd,),
            start_new_session=True,
            env=ray_environment(os.environ),
        )
    finally:
        os.close(write_fd)
    try:
        with os.fdopen(read_fd, encoding="utf-8") as events:
            for line in events:
                match json.loads(line):
                    case {"phase": str(phase)}:
                        show(phase)
                    case {"report": dict(report)}:
                        return report
        raise StageError(f"the measurement ended with status {process.wait()} before it was done")
    finally:
        process.kill()
        process.wait()
        end_session(process.pid)


def report_to_parent(measure: Callable[[Json, Show], Json]) -> None:
    """The script's side: calls ``measure`` with the parent's arguments and reports what it returns."""
    write_fd, arguments = int(sys.argv[1]), json.loads(sys.argv[2])
    os.set_inheritable(write_fd, False)  # Ray's processes would hold it open after us
    with os.fdopen(write_fd, "w", encoding="utf-8") as events:

        def send(**event: Any) -> None:
            events.write(json.dumps(event) + "\n")
            events.flush()

        send(report=measure(arguments, lambda phase: send(phase=phase)))
