"""A file in a collection of its own."""

from __future__ import annotations

from glyph_core.storage.collections import Collection, Collections
from glyph_core.storage.files import FileStore


def attached(files: FileStore, render: str, *file_ids: str, owner: str = "ana") -> Collection:
    return Collections(files, render).create(owner, "collection", file_ids=file_ids)
