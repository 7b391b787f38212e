"""Documents that have pages of their own are read page by page in workers, so that one bad page is one missing page."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from glyph_core.config import LimitConfig
from glyph_core.documents import isolation
from glyph_core.errors import (
    DocumentTimeoutError,
    DocumentTooLargeError,
    InvalidDocumentError,
    InvalidInputError,
)
from glyph_core.types import DocumentSource, PageError

_PATIENCE_S = 11.0  # that pages which are missing in the end may take together; then the rest is missing too


def count_pages(function: str, source: DocumentSource, limits: LimitConfig) -> int:
    """What the worker's ``function(source)`` says; raises DocumentTooLargeError where that is more than is allowed."""
    (num_pages,) = isolation.stream(function, source, limits=limits)
    check_num_pages(source.name, num_pages, limits)
    return int(num_pages)


def check_num_pages(name: str, num_pages: int, limits: LimitConfig) -> None:
    """Raises DocumentTooLargeError for more pages, of the source or as laid out, than a request may have."""
    if num_pages > limits.max_pages:
        raise DocumentTooLargeError(
            f"document {name!r} has {num_pages} pages, more than the {limits.max_pages} that this service takes; "
            "split it"
        )


def each_page(
    function: str, source: DocumentSource, pages: Sequence[int], *arguments: Any, limits: LimitConfig
) -> Iterator[Any]:
    """What the worker's ``function(source, pages, *arguments)`` yields for each page, or a PageError in its place.

    A page that hangs, crashes the worker or takes too much memory costs a worker; the pages after it get a new one.
    """
    pending = deque(pages)
    lost_s = 0.0
    while pending:
        if lost_s > _PATIENCE_S:
            reason = f"not tried: pages before it took {lost_s:.0f} s for nothing"
            yield from (PageError(source.name, page, reason) for page in pending)
            return
        begun = time.monotonic()
        try:
            for made in isolation.stream(
                function, source, tuple(pending), *arguments, limits=limits, timeout_s=limits.page_timeout_s
            ):
                yield made
                pending.popleft()
                begun = time.monotonic()
        except (DocumentTimeoutError, DocumentTooLargeError, InvalidDocumentError) as error:
            lost_s += time.monotonic() - begun
            yield PageError(source.name, pending.popleft(), _reason(error, limits))


def _reason(error: InvalidInputError, limits: LimitConfig) -> str:
    if isinstance(error, DocumentTimeoutError):
        return f"it took more than {limits.page_timeout_s:g} s"
    if isinstance(error, DocumentTooLargeError):
        return f"it needs more than {limits.parse_memory_gb:g} GiB of memory"
    return error.message
