"""What the commands share: results on stdout, everything else on stderr, one sentence for an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from deployments.openai_answers import error_json
from deployments.wire import invalid_request
from glyph_core.errors import GlyphError

FAILURE = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended


def stderr_console() -> Console:
    """Made when it is needed: tests and callers may have replaced ``sys.stderr`` by then."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Mapping[str, Any]) -> None:
    print_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_text(text: str) -> None:
    """At once, into a pipe too: whoever reads it may wait for just that while the command goes on."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_lines(lines: Mapping[str, str]) -> None:
    print_text("".join(f"{name}: {text}\n" for name, text in lines.items()))


def print_notes(lines: Mapping[str, str]) -> None:
    """What a person at a terminal may like to know beside the result."""
    console = stderr_console()
    if console.is_terminal:
        for name, text in lines.items():
            console.print(f"{name}: {text}", style="dim", markup=False)


def print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        stderr_console().print(f"warning: {warning}", style="yellow", markup=False)


@contextmanager
def phase_shown(*, in_files: bool = False) -> Iterator[Callable[[str], None]]:
    """A line on stderr that says what is being done, while it is. Where stderr is no terminal: nothing, or with
    ``in_files`` a line for each."""
    console = stderr_console()
    if not console.is_terminal:
        yield partial(console.print, markup=False) if in_files else lambda phase: None
        return
    with console.status("") as status:
        yield status.update


class ProgressBars:
    """Bars on stderr that go away when they are done; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        console = stderr_console()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def update(self, label: str, num_done: int, num_all: int | None = None) -> None:
        """``num_all`` None: nobody knows yet how many there will be."""
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=num_all)
        self._progress.update(self._tasks[label], completed=num_done, total=num_all)

    def stop(self) -> None:
        self._progress.stop()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


@contextmanager
def errors_reported(*, as_json: bool) -> Iterator[None]:
    """Turns an error of ours, or of the file system, into one sentence on stderr and an exit status.

    With ``as_json`` stdout gets the same as one object, in the form that the HTTP API uses.
    """
    try:
        yield
    except GlyphError as error:
        raise _reported(error, FAILURE, as_json=as_json) from error
    except ValidationError as error:
        raise _reported(invalid_request(error), WRONG_USAGE, as_json=as_json) from error
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise _reported(GlyphError(f"{place}{error.strerror or error}"), FAILURE, as_json=as_json) from error
    except KeyboardInterrupt as error:
        raise _reported(GlyphError("interrupted"), INTERRUPTED, as_json=as_json) from error


def _reported(error: GlyphError, status: int, *, as_json: bool) -> typer.Exit:
    stderr_console().print(f"error: {error.message}", style="red", markup=False)
    if as_json:
        print_json(error_json(error))
    return typer.Exit(status)
