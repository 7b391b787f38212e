"""Parsers of foreign formats run in worker processes that can be killed.

MuPDF holds the GIL, can hang for minutes on one page, and a damaged file may crash it or ask it for gigabytes. So
what reads PDF, DOCX, HTML or TIFF runs in a process of its own, under a limit of time for each result and of memory
for all. Workers are plain children of :mod:`subprocess`, not of :mod:`multiprocessing` (nor a pool of pebble's, which
builds on that): those run the caller's main module again, so that a script without ``if __name__ == "__main__"``
starts from the top in each worker, and each worker of a Ray actor imports Ray.

Workers are started when first needed, kept for the next document, and end with this process.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from glyph_core.config import LimitConfig
from glyph_core.documents import given_up
from glyph_core.documents.messages import receive, send
from glyph_core.documents.worker import BUSY, Call
from glyph_core.errors import DocumentTimeoutError, InvalidDocumentError
from glyph_core.types import DocumentSource

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from glyph_core.documents.worker import work; work(int(sys.argv[1]))"
)
# One thread each: workers stand beside one another, and every thread's stack counts as address space
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
_MAX_WORKERS = max(2, min(8, os.cpu_count() or 2))
_CHECK_S = 0.1
_START_TIMEOUT_S = 60.0  # a busy machine needs some seconds to start an interpreter and read its imports


def stream(
    function: str, source: DocumentSource, *arguments: Any, limits: LimitConfig, timeout_s: float | None = None
) -> Generator[Any, None, None]:
    """What the generator ``function`` ("module:name") yields for ``source`` and ``arguments``, run in a worker.

    Each thing may take ``timeout_s`` of computing (``limits.parse_timeout_s`` unless told). Raises the errors that
    ``function`` raises, DocumentTimeoutError, DocumentTooLargeError (memory) and InvalidDocumentError (the parser gave
    up or crashed). The worker is killed on a timeout, where the caller stops before the end, and soon after the work
    was given up (``given_up``).
    """
    timeout_s = limits.parse_timeout_s if timeout_s is None else timeout_s
    call = Call(function, arguments, source.digest, source.name, timeout_s, int(limits.parse_memory_gb * 1024**3))
    with _workers.borrowed(source.digest) as worker:
        failure: Exception | None = None
        for kind, value in _messages(worker, call, source):
            if kind == "result":
                yield value
            else:
                failure = value
        if failure is not None:
            raise failure


def _messages(worker: _Worker, call: Call, source: DocumentSource) -> Iterator[tuple[str, Any]]:
    """The results and the error that the worker sends; raises for it where it cannot."""
    try:
        for kind, value in worker.run(call, source):
            if kind == "content":
                send(worker.socket, source)
            else:
                yield kind, value
    except TimeoutError as error:
        raise DocumentTimeoutError(
            f"document {source.name!r} was given up: its reader gave nothing for {call.timeout_s:g} s; export it "
            "again, or split it"
        ) from error
    except (EOFError, ConnectionError) as error:
        status = worker.kill()
        why = f"signal {-status}" if status < 0 else f"status {status}"
        raise InvalidDocumentError(
            f"document {source.name!r} made its reader crash ({why}); it is damaged: export it again"
        ) from error


class _Worker:
    """A worker process and our end of its socket. Used by one thread at a time."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.digest = ""  # of the document that it had last
        self.is_idle = False  # it waits for a call; otherwise it is of no use to anybody else
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno()), json.dumps(sys.path)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
            )

    def run(self, call: Call, source: DocumentSource) -> Iterator[tuple[str, Any]]:
        """Messages up to the one that says that there will be no more."""
        self.is_idle, self.digest = False, source.digest
        self.socket.settimeout(_START_TIMEOUT_S)
        send(self.socket, call)
        has_begun = False
        while True:
            if has_begun:
                self._wait(call.timeout_s)
            kind, value = receive(self.socket)
            if kind == "begun":  # it has started, read its imports and got the document
                has_begun = True
                continue
            if kind in ("end", "last"):  # "last": it has grown too large to be kept, and ends by itself
                self.is_idle = kind == "end"
                return
            yield kind, value

    def _wait(self, timeout_s: float) -> None:
        """Until there is a message. Raises TimeoutError where the worker has computed for ``timeout_s`` without one, or
        so long has passed that it cannot be for other work on the machine alone."""
        begun_s, begun_cpu_s, waited_s, used_s = time.monotonic(), self._cpu_s(), 0.0, 0.0
        while not select.select([self.socket], [], [], _CHECK_S)[0]:
            given_up.check()
            waited_s, used_s = time.monotonic() - begun_s, self._cpu_s() - begun_cpu_s
            if used_s >= timeout_s or waited_s >= BUSY * timeout_s:
                raise TimeoutError

    def _cpu_s(self) -> float:
        """Seconds that the worker has computed so far; 0 where it is gone."""
        try:
            used = psutil.Process(self.process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(used.user + used.system)

    def kill(self) -> int:
        """End it now, if it has not ended; returns its exit status."""
        self.socket.close()
        self.process.kill()
        return self.process.wait()


class _Workers:
    """The workers of this process. Thread-safe."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_MAX_WORKERS)

    @contextmanager
    def borrowed(self, digest: str) -> Iterator[_Worker]:
        """An idle worker, that which has the document if there is one, or a new one; waits while all are at work."""
        with self._free:
            worker = self._take(digest) or _Worker()
            try:
                yield worker
            finally:
                if worker.is_idle:
                    with self._lock:
                        self._idle.append(worker)
                else:
                    worker.kill()

    def _take(self, digest: str) -> _Worker | None:
        with self._lock:
            for worker in [worker for worker in self._idle if worker.process.poll() is not None]:
                self._idle.remove(worker)
                worker.kill()
            if not self._idle:
                return None
            chosen = next((worker for worker in self._idle if worker.digest == digest), self._idle[-1])
            self._idle.remove(chosen)
            return chosen

    def close(self) -> None:
        """End the idle workers; those at work end with their call."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()


_workers = _Workers()


def close() -> None:
    """End the idle workers now; the next document starts new ones."""
    _workers.close()


def _forget() -> None:
    """A forked child leaves its parent's workers alone."""
    global _workers
    _workers = _Workers()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)
