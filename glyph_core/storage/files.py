"""Uploaded files: whose they are, what they are called, until when they are kept.

An uploaded file exists from the moment at which its row is committed, and not before. Contents are shared: the same
bytes uploaded twice, by whomever, are two files and one blob. The order of steps keeps the two in step: a content is
in its place before a row names it, and goes after the last row that named it. Both happen under the index's write
lock, so that no content vanishes while another upload of the same bytes begins to rely on it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO
from uuid import uuid4

from glyph_core.config.storage import StoreConfig
from glyph_core.errors import ConfigError, NotFoundError, QuotaError
from glyph_core.storage.blobs import BlobStore
from glyph_core.storage.database import Database, Order, one_row, rows_after
from glyph_core.types import DocumentSource, digest_of

INDEX_NAME = "index.sqlite3"
DAY_S = 86_400
NOT_EXPIRED = "ifnull(expires_at, 9e18) > ?"
LONGEST_UPLOAD_S = 3600.0  # what lies among the incoming for longer was left by a process that was killed


@dataclass(frozen=True, slots=True)
class StoredFile:
    id: str
    owner: str
    name: str
    purpose: str
    digest: str  # of its content, as in DocumentSource
    num_bytes: int
    created_at: int  # this and the next: seconds since 1970
    expires_at: int | None


class FileStore:
    """Methods block on disk: call them from a thread. Several processes may use the same store at once."""

    def __init__(self, config: StoreConfig, clock: Callable[[], float] = time.time) -> None:
        """Raises ConfigError where the store cannot be used."""
        path = config.path or default_path()
        self.blobs = BlobStore(path)
        self.database = Database(_index_folder(config, path) / INDEX_NAME)
        self._config, self.clock = config, clock

    def add(
        self,
        owner: str,
        name: str,
        purpose: str,
        content: IO[bytes],
        num_bytes: int,
        *,
        expires_after_s: int | None = None,
    ) -> StoredFile:
        """Keeps a file. Raises QuotaError where its owner's files would be too many bytes, and OSError."""
        self._check_quota(self.database.connection(), owner, num_bytes)
        incoming = self.blobs.write(content, num_bytes)
        try:
            with self.database.writing() as connection:
                self._check_quota(connection, owner, num_bytes)
                file = self._new_file(owner, name, purpose, incoming.digest, num_bytes, expires_after_s)
                self.blobs.place(incoming)
                _insert(connection, file)
        except BaseException:
            self.blobs.discard(incoming)
            raise
        return file

    def get(self, owner: str, file_id: str) -> StoredFile:
        """Raises NotFoundError where ``owner`` has no such file."""
        row = one_row(self.database.connection(), "files", {"id = ?": file_id, **self._visible(owner)})
        if row is None:
            raise no_such_file(file_id)
        return _file_of(row)

    def list_after(
        self, owner: str, *, limit: int, after: str | None = None, order: Order = "desc", purpose: str | None = None
    ) -> tuple[list[StoredFile], bool]:
        """Up to ``limit`` of an owner's files, and whether there are more. Raises NotFoundError for ``after``."""
        conditions = self._visible(owner) | ({"purpose = ?": purpose} if purpose else {})
        connection = self.database.connection()
        rows, has_more = rows_after(connection, "files", conditions, limit=limit, after=after, order=order)
        return [_file_of(row) for row in rows], has_more

    def read(self, owner: str, file_id: str) -> DocumentSource:
        """A file as a document. Raises NotFoundError."""
        file = self.get(owner, file_id)
        with _gone_means_deleted(file_id):
            return DocumentSource(file.name, self.blobs.read(file.digest), file.digest)

    def chunks(self, owner: str, file_id: str) -> Iterator[bytes]:
        """A file's content, piece by piece. Raises NotFoundError, already when called."""
        with _gone_means_deleted(file_id):
            return self.blobs.chunks(self.get(owner, file_id).digest)

    def delete(self, owner: str, file_id: str) -> None:
        """Takes a file out of the store and out of every collection. Raises NotFoundError."""
        file = self.get(owner, file_id)
        with self.database.writing() as connection:
            connection.execute("DELETE FROM files WHERE id = ?", (file_id,))
        self._remove_unneeded(file.digest)

    def sweep(self, max_upload_s: float = LONGEST_UPLOAD_S) -> int:
        """Deletes what has expired; returns how many files that were."""
        with self.database.writing() as connection:
            expired = connection.execute(
                f"DELETE FROM files WHERE NOT {NOT_EXPIRED} RETURNING digest", (int(self.clock()),)
            ).fetchall()
        for digest in {row["digest"] for row in expired}:
            self._remove_unneeded(digest)
        self.blobs.discard_older_than(max_upload_s)
        return len(expired)

    def remove_orphans(self) -> int:
        """Removes contents that no file has, which a process killed between two steps leaves; returns how many."""
        return sum(self._remove_unneeded(digest) for digest in self.blobs.digests())

    def check_integrity(self) -> None:
        """Raises AssertionError unless each file's content is there, whole and under its own digest."""
        for row in self.database.connection().execute("SELECT * FROM files").fetchall():
            content = self.blobs.read(row["digest"])
            assert len(content) == row["num_bytes"], f"{row['id']}: {len(content)} bytes instead of {row['num_bytes']}"
            assert digest_of(content) == row["digest"], f"{row['id']}: other bytes than were uploaded"

    def _visible(self, owner: str) -> dict[str, object]:
        return {NOT_EXPIRED: int(self.clock()), "owner = ?": owner}

    def _remove_unneeded(self, digest: str) -> bool:
        """The row goes first, in a transaction of its own: killed in between, a content without a file is left, never a
        file without its content."""
        with self.database.writing() as connection:
            if connection.execute("SELECT 1 FROM files WHERE digest = ?", (digest,)).fetchone():
                return False
            connection.execute("DELETE FROM texts WHERE digest = ?", (digest,))
            self.blobs.remove(digest)
        return True

    def _check_quota(self, connection: sqlite3.Connection, owner: str, num_bytes: int) -> None:
        if self._config.quota_gb is None:
            return
        statement = f"SELECT total(num_bytes) FROM files WHERE {' AND '.join(self._visible(owner))}"
        num_used = int(connection.execute(statement, tuple(self._visible(owner).values())).fetchone()[0])
        if num_used + num_bytes > self._config.quota_gb * 1024**3:
            raise QuotaError(
                f"your files make {num_used} bytes, and this one has {num_bytes}: together that is more than the "
                f"{self._config.quota_gb:g} GiB that you may keep here; delete some, or let them expire",
                param="file",
            )

    def _new_file(
        self, owner: str, name: str, purpose: str, digest: str, num_bytes: int, expires_after_s: int | None
    ) -> StoredFile:
        now = int(self.clock())
        if expires_after_s is None and self._config.keep_days is not None:
            expires_after_s = int(self._config.keep_days * DAY_S)
        expires_at = None if expires_after_s is None else now + expires_after_s
        return StoredFile(f"file-{uuid4().hex}", owner, name, purpose, digest, num_bytes, now, expires_at)


def default_path() -> str:
    """In the user's data folder, as the XDG Base Directory Specification has it."""
    return str(Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "glyph-serve")


def _index_folder(config: StoreConfig, path: str) -> Path:
    if config.index is None and "://" in path:
        raise ConfigError(f"store.index must name a folder on this machine, for {path} is none")
    folder = Path(config.index or path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the store's index cannot be kept in {folder}: {error}") from error
    return folder


def _insert(connection: sqlite3.Connection, file: StoredFile) -> None:
    names = [field.name for field in fields(StoredFile)]
    values = ", ".join(f":{name}" for name in names)
    connection.execute(f"INSERT INTO files ({', '.join(names)}) VALUES ({values})", asdict(file))


def _file_of(row: sqlite3.Row) -> StoredFile:
    return StoredFile(**{field.name: row[field.name] for field in fields(StoredFile)})


def no_such_file(file_id: str) -> NotFoundError:
    return NotFoundError(f"there is no file {file_id!r}; GET /v1/files lists yours", param="file_id")


@contextmanager
def _gone_means_deleted(file_id: str) -> Iterator[None]:
    """Another request may delete a file between the look at its row and the look at its content."""
    try:
        yield
    except FileNotFoundError as error:
        raise no_such_file(file_id) from error
