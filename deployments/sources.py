"""Documents of the object store, kept at hand where the same one is asked for call after call."""

from __future__ import annotations

from collections import OrderedDict

from deployments.protocol import DocumentRef
from glyph_core.types import DocumentSource


class SourceCache:
    """The most recently used documents, together at most ``max_bytes`` (one larger document is kept alone)."""

    def __init__(self, max_bytes: int = 256 * 1024**2) -> None:
        self._max_bytes = max_bytes
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        self._num_bytes = 0

    async def get(self, document: DocumentRef) -> DocumentSource:
        content = self._contents.get(document.digest)
        if content is None:
            content = await document.content
            self._keep(document.digest, content)
        else:
            self._contents.move_to_end(document.digest)
        return DocumentSource(document.name, content, document.digest)

    def _keep(self, digest: str, content: bytes) -> None:
        if digest in self._contents:  # another call brought it meanwhile
            return
        self._contents[digest] = content
        self._num_bytes += len(content)
        while self._num_bytes > self._max_bytes and len(self._contents) > 1:
            _, dropped = self._contents.popitem(last=False)
            self._num_bytes -= len(dropped)
