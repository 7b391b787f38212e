"""Contents by their digest, on any file system that fsspec knows.

``blobs/ab/abcd…`` holds the content whose digest is ``abcd…``; ``incoming/`` what is being written. A content is
whole before it is moved to its place, so that a writer killed at any moment leaves nothing under a digest that is not
the content of that digest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import IO
from uuid import uuid4

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from glyph_core.errors import ConfigError
from glyph_core.types import DIGEST_BYTES

CHUNK_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Incoming:
    """A content that was written and has no place yet."""

    path: str
    digest: str  # as :func:`glyph_core.types.digest_of` makes it
    num_bytes: int


class BlobStore:
    """Thread-safe. It knows nothing of who needs a content: see :class:`~glyph_core.storage.files.FileStore`."""

    def __init__(self, url: str) -> None:
        """``url``: a folder or an fsspec URL. Raises ConfigError where nothing can be written there."""
        try:
            self._fs, root = url_to_fs(url)
            self._root = root.rstrip("/")
            self._is_local = isinstance(self._fs, LocalFileSystem)
            for folder in ("incoming", "blobs"):
                self._fs.makedirs(f"{self._root}/{folder}", exist_ok=True)
            if self._is_local and not os.access(self._root, os.W_OK | os.X_OK):
                raise PermissionError(f"nothing can be written to {self._root}")
        except (OSError, ValueError, ImportError) as error:
            raise ConfigError(f"the store {url} cannot be used: {error}; name another with --store") from error

    def write(self, content: IO[bytes], num_bytes: int) -> Incoming:
        """Reads ``content``, which has ``num_bytes``. :meth:`place` it or :meth:`discard` it. Raises OSError."""
        path = f"{self._root}/incoming/{uuid4().hex}"
        digest = blake2b(num_bytes.to_bytes(8, "little"), digest_size=DIGEST_BYTES)
        with self._fs.open(path, "wb") as file:
            while chunk := content.read(CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
            if file.tell() != num_bytes:
                raise ValueError(f"{file.tell()} bytes came, and {num_bytes} were announced")
            if self._is_local:
                file.flush()
                os.fsync(file.fileno())
        return Incoming(path, digest.hexdigest(), num_bytes)

    def place(self, incoming: Incoming) -> None:
        """Puts a content where its digest says, unless it is there already."""
        path = self._path(incoming.digest)
        if self._fs.exists(path) and self._fs.size(path) == incoming.num_bytes:
            self.discard(incoming)
            return
        folder = path.rpartition("/")[0]
        self._fs.makedirs(folder, exist_ok=True)
        self._fs.mv(incoming.path, path)
        if self._is_local:
            _sync_folder(folder)

    def discard(self, incoming: Incoming) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(incoming.path)

    def chunks(self, digest: str) -> Iterator[bytes]:
        """The content, piece by piece. Raises FileNotFoundError, already when called."""
        file = self._fs.open(self._path(digest), "rb")

        def read() -> Iterator[bytes]:
            with file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

        return read()

    def read(self, digest: str) -> bytes:
        """Raises FileNotFoundError."""
        content: bytes = self._fs.cat_file(self._path(digest))
        return content

    def remove(self, digest: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._path(digest))

    def digests(self) -> list[str]:
        """Of all contents that have their place."""
        return [path.rpartition("/")[2] for path in self._fs.find(f"{self._root}/blobs")]

    def discard_older_than(self, age_s: float) -> int:
        """Throws away what killed writers left; returns how many. ``age_s`` is longer than any writer takes."""
        num_discarded = 0
        for path in self._fs.find(f"{self._root}/incoming"):
            with suppress(FileNotFoundError):  # a writer that has just ended, or another gateway that clears up, too
                if time.time() - self._fs.modified(path).timestamp() >= age_s:
                    self._fs.rm_file(path)
                    num_discarded += 1
        return num_discarded

    def _path(self, digest: str) -> str:
        return f"{self._root}/blobs/{digest[:2]}/{digest}"


def _sync_folder(folder: str) -> None:
    """Makes a name in ``folder`` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
