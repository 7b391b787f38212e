"""The index of the store: one SQLite file, shared by the threads of a process and by processes of one machine.

In WAL mode readers never wait and a killed writer leaves nothing half done. WAL needs shared memory, so that all who
share a store's index have to run on one machine.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from glyph_core.errors import ConfigError, NotFoundError

BUSY_TIMEOUT_S = 60.0  # for which a writer waits for the others
FILES = """
CREATE TABLE files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    purpose TEXT NOT NULL,
    digest TEXT NOT NULL, -- of the content, which lies under this name among the blobs
    num_bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL, -- this and every other time: seconds since 1970
    expires_at INTEGER
);
CREATE INDEX files_by_owner ON files (owner, seq);
CREATE INDEX files_by_digest ON files (digest);
CREATE INDEX files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;
"""
COLLECTIONS = """
CREATE TABLE collections (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    metadata TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL,
    keep_days INTEGER -- after last_active_at
);
CREATE TABLE members (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    id TEXT NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    attributes TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    UNIQUE (collection, id)
);
CREATE INDEX members_by_file ON members (id);
CREATE TABLE texts (
    key INTEGER PRIMARY KEY,
    digest TEXT NOT NULL, -- of a content
    render TEXT NOT NULL, -- digest of the RenderConfig whose pages these are
    status TEXT NOT NULL DEFAULT 'in_progress',
    error_code TEXT,
    error_message TEXT,
    claimed_until REAL NOT NULL DEFAULT 0, -- by whoever reads it now
    num_attempts INTEGER NOT NULL DEFAULT 0,
    UNIQUE (digest, render)
);
CREATE TABLE pages (
    key INTEGER PRIMARY KEY,
    text_key INTEGER NOT NULL REFERENCES texts (key) ON DELETE CASCADE,
    page_index INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (text_key, page_index)
);
CREATE VIRTUAL TABLE page_words USING fts5 (words, tokenize = 'porter unicode61 remove_diacritics 2');
CREATE TRIGGER page_is_gone AFTER DELETE ON pages BEGIN DELETE FROM page_words WHERE rowid = old.key; END;
"""
SCHEMAS = (FILES, COLLECTIONS)  # each adds to those before it; how many there are is the index's version

Order = Literal["asc", "desc"]
Conditions = Mapping[str, Any]  # SQL comparisons with one ? each, and what stands for it


class Database:
    """Every method may be called from any thread; none from an event loop's."""

    def __init__(self, path: Path) -> None:
        """Makes the file where there is none. Raises ConfigError where it cannot, or where the file is not ours."""
        self._path = path
        self._local = threading.local()
        try:
            with self.writing() as connection:
                _make_schema(connection, path)
        except sqlite3.Error as error:
            raise ConfigError(f"the store's index {path} cannot be used: {error}") from error

    def connection(self) -> sqlite3.Connection:
        """This thread's, in autocommit mode: for reading."""
        if not hasattr(self._local, "connection"):
            self._local.connection = _connect(self._path)
        connection: sqlite3.Connection = self._local.connection
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other writer, of any process, runs beside; undone where the block raises."""
        connection = self.connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def one_row(connection: sqlite3.Connection, table: str, conditions: Conditions) -> sqlite3.Row | None:
    """The row that meets them all, if there is one."""
    statement = f"SELECT * FROM {table} WHERE {' AND '.join(conditions)}"
    row: sqlite3.Row | None = connection.execute(statement, tuple(conditions.values())).fetchone()
    return row


def rows_after(
    connection: sqlite3.Connection,
    table: str,
    conditions: Conditions,
    *,
    limit: int,
    after: str | None = None,
    before: str | None = None,
    order: Order = "desc",
) -> tuple[list[sqlite3.Row], bool]:
    """Up to ``limit`` rows by age, and whether there are more. ``after`` and ``before`` are ids of rows.

    Raises NotFoundError where no row has such an id.
    """
    where, values = [*conditions], [*conditions.values()]
    for name, cursor, comparison in (("after", after, "<>"), ("before", before, "><")):
        if cursor is not None:
            where.append(f"seq {comparison[order == 'asc']} ?")
            values.append(_seq_of(connection, table, conditions, cursor, name))
    # Before a row: the nearest ones, which are the last of those that come before it.
    direction = order if before is None or after is not None else {"asc": "desc", "desc": "asc"}[order]
    statement = f"SELECT * FROM {table} WHERE {' AND '.join(where) or '1'} ORDER BY seq {direction} LIMIT ?"
    rows = connection.execute(statement, [*values, limit + 1]).fetchall()
    page, has_more = rows[:limit], len(rows) > limit
    return (page if direction == order else page[::-1]), has_more


def _seq_of(connection: sqlite3.Connection, table: str, conditions: Conditions, row_id: str, param: str) -> int:
    statement = f"SELECT seq FROM {table} WHERE {' AND '.join([*conditions, 'id = ?'])}"
    row = connection.execute(statement, [*conditions.values(), row_id]).fetchone()
    if row is None:
        raise NotFoundError(f"{param}={row_id!r} names nothing in this list", param=param)
    return int(row[0])


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")  # what was committed survives a loss of power, too
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait by itself while another process makes the same change."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _make_schema(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(SCHEMAS):
        raise ConfigError(
            f"the store's index {path} is of version {version}, and this program knows {len(SCHEMAS)}: use the "
            "program that made it, or another folder"
        )
    for schema in SCHEMAS[version:]:
        for statement in schema.split(";\n"):  # executescript would commit the transaction
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(SCHEMAS)}")
