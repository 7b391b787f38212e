"""Running the same function over the same memory again and again: recorded as a CUDA graph, or plainly.

A step of 40 layers is some 450 kernels of a few microseconds. Launched one by one the host would be the limit; a graph
launches all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

import torch

T = TypeVar("T")
NUM_WARM_UPS = 2  # compiles kernels and lets libraries take their workspaces, neither of which a graph can hold


class Replayer(Protocol):
    def run(self, key: Hashable, function: Callable[[], T]) -> T:
        """What ``function`` gives. It must do the same each time that ``key`` is the same, on the same memory, and must
        not mind being run several times over."""
        ...


class EagerReplayer:
    """Runs the function each time: what a graph must equal."""

    def run(self, key: Hashable, function: Callable[[], T]) -> T:
        return function()


class GraphReplayer:
    """Records the function as a CUDA graph when its key first comes; from then on what it gives lies where it lay."""

    def __init__(self) -> None:
        self._graphs: dict[Hashable, tuple[torch.cuda.CUDAGraph, object]] = {}
        self._pool: Any = None  # of the graphs' memory: they run one after the other and can share it

    def run(self, key: Hashable, function: Callable[[], T]) -> T:
        if key not in self._graphs:
            self._graphs[key] = self._record(function)
        graph, result = self._graphs[key]
        graph.replay()
        return result  # type: ignore[return-value]

    def _record(self, function: Callable[[], T]) -> tuple[torch.cuda.CUDAGraph, T]:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(NUM_WARM_UPS):
                function()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = function()
        self._pool = self._pool or graph.pool()
        return graph, result
