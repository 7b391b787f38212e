"""What tests let a worker run: functions that behave as badly as foreign parsers do."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator

import numpy as np

from glyph_core.errors import EmptyDocumentError
from glyph_core.types import DocumentSource, PageError

STARTED = os.getpid()


def echo(source: DocumentSource, *arguments: object) -> Iterator[object]:
    yield os.getpid(), source.name, source.content
    yield from arguments


def arrays(source: DocumentSource, count: int, size: int) -> Iterator[np.ndarray]:
    for value in range(count):
        yield np.full(size, value, np.uint8)


def hangs(source: DocumentSource) -> Iterator[int]:
    yield 1
    time.sleep(60)


def waits(source: DocumentSource, wait_s: float) -> Iterator[str]:
    time.sleep(wait_s)
    yield "done"


def computes(source: DocumentSource) -> Iterator[int]:
    while True:
        sum(range(10_000))
    yield 1


def crashes(source: DocumentSource) -> Iterator[int]:
    yield 1
    ctypes.string_at(0)


def eats_memory(source: DocumentSource) -> Iterator[int]:
    yield len(np.empty(3 * 1024**3, np.uint8))  # never touched: only the limit refuses it


def fails(source: DocumentSource, kind: str) -> Iterator[int]:
    if kind == "own":
        raise EmptyDocumentError("nothing in it", param="file")
    raise KeyError("xref")
    yield 1


def pages(source: DocumentSource, wanted: tuple[int, ...]) -> Iterator[object]:
    """Page 2 crashes, page 4 hangs, page 6 says itself that it cannot be read."""
    for page in wanted:
        if page == 2:
            ctypes.string_at(0)
        if page == 4:
            time.sleep(60)
        yield PageError(source.name, page, "torn") if page == 6 else page


def keeps_much(source: DocumentSource) -> Iterator[int]:
    globals()["KEPT"] = np.ones(500 * 1024**2, np.uint8)
    yield os.getpid()
