"""Processes that make batches while the GPU works on others."""

from __future__ import annotations

import logging
import multiprocessing
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from glyph_core.training.batch import Batch, PackedDocument, pack
from glyph_core.training.curriculum import PageSpec, Stage, make_document
from glyph_core.training.looks import Typesetter
from glyph_core.training.material import Material
from glyph_core.training.step import DeviceBatch
from glyph_core.training.text_sources import Split, load

VISUAL_UNITS, ASKED_UNITS = 1.0, 0.25  # work of a visual token and of a byte of a question, relative
POLL_S = 1.0

T = TypeVar("T")
_log = logging.getLogger(__name__)


def units_of(document: PackedDocument) -> float:
    """How much work a document is, in visual tokens, about."""
    asked = sum(len(question.text) + len(question.answer) + 3 for question in document.questions)
    return VISUAL_UNITS * document.num_visual_tokens + ASKED_UNITS * asked


class BatchMaker:
    """Draws documents by a mix of specs until a batch is full."""

    def __init__(self, material: Material, typesetter: Typesetter) -> None:
        self._material, self._typesetter = material, typesetter
        self._ink_starts = typesetter.ink_table().starts
        self._specs: Sequence[PageSpec] = ()
        self._spent: list[float] = []  # units by spec, since these are the specs

    def make(self, specs: Sequence[PageSpec], units: float) -> Batch:
        """A batch of about ``units``; over many batches each spec gets its share of them."""
        if specs is not self._specs:
            self._specs, self._spent = specs, [0.0] * len(specs)
        documents: list[PackedDocument] = []
        filled = 0.0
        while filled < units or not documents:
            number = min(range(len(specs)), key=lambda i: self._spent[i] / specs[i].share)
            document = make_document(self._material, self._typesetter, specs[number], number)
            if document is None:
                continue
            size = units_of(document)
            self._spent[number] += size
            filled += size
            documents.append(document)
        return pack(documents, self._ink_starts)


class Loader:
    """Batches of the current stage from ``num_workers`` processes.

    A stage's batches that lie in the queue when the next begins are still trained on. Use as a context manager.
    """

    def __init__(
        self, text_sources: Path, stages: Sequence[Stage], *, units: float, num_workers: int, seed: int,
        device: torch.device, typesetter: Typesetter, first_stage: int = 0,
    ) -> None:  # fmt: skip
        context = multiprocessing.get_context("fork")  # workers inherit the atlas and its compiled code
        self._queue: Any = context.Queue(maxsize=max(4, 2 * num_workers))
        self._ready: queue.Queue[tuple[DeviceBatch, int]] = queue.Queue(maxsize=3)
        self._stage = context.Value("i", first_stage)
        self._closed = context.Event()
        self._device = device
        sources = load(text_sources, Split.TRAIN)
        arguments = [
            (seed * 1009 + i, self._queue, self._stage, self._closed, stages, units, sources, typesetter)
            for i in range(num_workers)
        ]
        self._processes = [context.Process(target=_work, args=args, daemon=True) for args in arguments]
        self._thread = threading.Thread(target=self._prefetch, daemon=True)

    def __enter__(self) -> Loader:
        for process in self._processes:
            process.start()
        return self

    def start_prefetch(self) -> None:
        """Starts pinning batches: after the processes were forked, as CUDA may not be up before."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for process in self._processes:
            process.kill()
            process.join()
        if self._thread.is_alive():
            self._thread.join()

    def enter_stage(self, stage: int) -> None:
        self._stage.value = stage

    def __iter__(self) -> Iterator[tuple[DeviceBatch, int]]:
        """Batches with the number of the stage that each was made for."""
        while True:
            batch, stage = self._ready.get()
            yield batch.move(), stage

    def _prefetch(self) -> None:
        while not self._closed.is_set():
            try:
                batch, stage = self._queue.get(timeout=POLL_S)
            except queue.Empty:
                if not all(process.is_alive() for process in self._processes):
                    _log.error("a process that makes batches died")
                continue
            self._put((DeviceBatch(batch, self._device), stage))

    def _put(self, item: tuple[DeviceBatch, int]) -> None:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return


def _work(
    seed: int, batches: Any, stage: Any, closed: Any, stages: Sequence[Stage], units: float, sources: Any,
    typesetter: Typesetter,
) -> None:  # fmt: skip
    batches.cancel_join_thread()
    torch.set_num_threads(1)
    maker = BatchMaker(Material(sources, Split.TRAIN, seed), typesetter)
    while not closed.is_set():
        number = stage.value
        batch = maker.make(stages[number].specs, units)
        while not closed.is_set():
            try:
                batches.put((batch, number), timeout=POLL_S)
            except queue.Full:
                continue
            break


class InBackground(Generic[T]):
    """What ``make`` gives, made in a forked process of its own; calling the object waits for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        context = multiprocessing.get_context("fork")
        self._results: Any = context.SimpleQueue()
        self._process = context.Process(target=lambda: self._results.put(make()), daemon=True)
        self._process.start()
        self._made: list[T] = []

    def __call__(self) -> T:
        if not self._made:
            self._made.append(self._results.get())
        return self._made[0]
