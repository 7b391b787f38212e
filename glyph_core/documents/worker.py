"""The loop of a worker process: it takes calls, runs the named generator and sends back what that yields.

The other end is :mod:`glyph_core.documents.isolation`.
"""

from __future__ import annotations

import gc
import importlib
import math
import resource
import signal
import socket
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psutil

from glyph_core.documents.messages import receive, send
from glyph_core.errors import DocumentTooLargeError, GlyphError, InvalidDocumentError
from glyph_core.types import DocumentSource

_MAX_SOURCES = 2  # whose bytes a worker keeps for the next call
_MAX_KEPT_BYTES = 400 * 1024**2  # a worker that is larger after a call ends, so that its memory returns
BUSY = 3.0  # on a busy machine a call may take so many times as long as it may compute
_GRACE_S = 10  # past its caller's patience a worker ends by itself: the caller is no more


@dataclass(frozen=True, slots=True)
class Call:
    """Run ``function`` ("module:name", a generator function) on a document and send each thing that it yields."""

    function: str
    arguments: tuple[Any, ...]
    digest: str  # the document's
    name: str  # what the document is called this time
    timeout_s: float  # of computing, for each thing
    memory_bytes: int


def work(descriptor: int) -> None:
    """Serve calls that come through the socket ``descriptor`` until its other end closes."""
    connection = socket.socket(fileno=descriptor)
    sources: OrderedDict[str, DocumentSource] = OrderedDict()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    gc.disable()  # trees are built and thrown away whole: the collector would look through them again and again
    with suppress(EOFError, ConnectionError):
        while True:
            call: Call = receive(connection)
            resource.setrlimit(resource.RLIMIT_AS, (call.memory_bytes, hard))
            if call.digest not in sources:
                send(connection, ("content", None))
                sources[call.digest] = receive(connection)
            sources.move_to_end(call.digest)
            while len(sources) > _MAX_SOURCES:
                sources.popitem(last=False)
            _run(connection, call, replace(sources[call.digest], name=call.name))
            gc.collect()
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
            is_large = psutil.Process().memory_info().rss > _MAX_KEPT_BYTES
            send(connection, ("last" if is_large else "end", None))
            if is_large:
                return


def _run(connection: socket.socket, call: Call, source: DocumentSource) -> None:
    module, _, name = call.function.partition(":")
    patience_s = math.ceil(BUSY * call.timeout_s) + _GRACE_S
    try:
        function = getattr(importlib.import_module(module), name)
        send(connection, ("begun", None))
        signal.alarm(patience_s)
        for result in function(source, *call.arguments):
            signal.alarm(0)
            send(connection, ("result", result))
            signal.alarm(patience_s)
    except GlyphError as error:
        send(connection, ("error", error))
    except MemoryError:
        message = f"document {source.name!r} needs more than {call.memory_bytes / 1024**3:.1f} GiB to be read; split it"
        send(connection, ("error", DocumentTooLargeError(message)))
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a foreign parser raises on a damaged file ends here
        message = f"document {source.name!r} cannot be read: {type(error).__name__}: {error}; export it again"
        send(connection, ("error", InvalidDocumentError(message)))
    finally:
        signal.alarm(0)
