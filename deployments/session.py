"""The end of a process session: whoever is left in it is killed, and nobody else.

Ray's processes form no single process group and some are orphans by the time that Ray has shut down, but all of them
stay in the session of the process that started Ray. The kernel does not give a session's id to a new process while
anybody is left in it.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import psutil

POLL_S = 0.02
DEADLINE_S = 5.0  # a killed process that stays longer hangs in the kernel; nothing of ours can help that


def end_session(session_id: int) -> None:
    """Kills every process of the session but the caller, and waits until none runs."""
    deadline = time.monotonic() + DEADLINE_S
    while (members := _members(session_id)) and time.monotonic() < deadline:
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)


def _members(session_id: int) -> list[int]:
    return [pid for pid in psutil.pids() if pid != os.getpid() and _is_running_in(pid, session_id)]


def _is_running_in(pid: int, session_id: int) -> bool:
    with suppress(ProcessLookupError, PermissionError, psutil.Error):
        return os.getsid(pid) == session_id and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
