"""Page after page in a worker: what cannot be made of one page is told in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from glyph_core.types import DocumentSource, PageError

T = TypeVar("T")


def attempt_each(
    source: DocumentSource,
    pages: Sequence[int],
    make: Callable[[int], T | PageError],
    errors: tuple[type[Exception], ...],
) -> Iterator[T | PageError]:
    """``make(page)`` for each of ``pages``; a PageError where it raises one of ``errors`` or runs out of memory."""
    for page in pages:
        try:
            made = make(page)
        except errors as error:
            made = PageError(source.name, page, reason_of(error))
        except MemoryError:
            made = PageError(source.name, page, "it needs more memory than a page may")
        yield made


def reason_of(error: Exception) -> str:
    """What went wrong, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
