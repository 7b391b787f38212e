"""Files as document sources."""

from __future__ import annotations

import os
from pathlib import Path

from glyph_core.errors import InvalidRequestError
from glyph_core.types import DocumentSource


def read_source(path: str | os.PathLike[str]) -> DocumentSource:
    """The file at ``path``; raises InvalidRequestError where it cannot be read."""
    if os.path.isdir(path):
        raise InvalidRequestError(f"{_shown(str(path))} is a folder; name the documents in it, each by itself")
    try:
        return DocumentSource(_shown(Path(path).name), Path(path).read_bytes())
    except OSError as error:
        raise InvalidRequestError(f"{_shown(str(path))} cannot be read: {error.strerror}") from error


def _shown(name: str) -> str:
    """``name`` as text that can be written: file systems take any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
