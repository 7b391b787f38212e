"""Collections: sets of files that are searched together, a knowledge base. OpenAI's word is vector store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from glyph_core.errors import NotFoundError
from glyph_core.storage.database import Order, one_row, rows_after
from glyph_core.storage.files import DAY_S, NOT_EXPIRED, FileStore, no_such_file

Status = Literal["in_progress", "completed", "failed"]
Attributes = Mapping[str, str | float | bool]

# A file's text is read once for all collections and owners that have the same bytes.
_MEMBERS = """(
    SELECT members.*, files.name, files.num_bytes, files.expires_at, files.digest,
        ifnull(texts.status, 'in_progress') AS status, texts.error_code, texts.error_message
    FROM members JOIN files USING (id)
    LEFT JOIN texts ON texts.digest = files.digest AND texts.render = '{render}'
)"""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a collection. It can be found when its status is completed."""

    file_id: str
    collection_id: str
    name: str
    num_bytes: int
    digest: str
    created_at: int
    attributes: Attributes
    status: Status
    error_code: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class Collection:
    id: str
    name: str
    description: str | None
    metadata: Mapping[str, str]
    created_at: int
    last_active_at: int
    keep_days: int | None  # after last_active_at
    num_bytes: int
    num_files: Mapping[Status, int]

    @property
    def expires_at(self) -> int | None:
        return None if self.keep_days is None else self.last_active_at + self.keep_days * DAY_S


class Collections:
    """The collections of a store. ``render`` is the digest of the configuration whose pages are searched. Methods block
    on disk."""

    def __init__(self, files: FileStore, render: str) -> None:
        if not render.isalnum():
            raise ValueError(f"{render!r} is no digest")
        self._files, self._database, self.render = files, files.database, render
        self._members = _MEMBERS.format(render=render)

    def create(
        self,
        owner: str,
        name: str,
        *,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        keep_days: int | None = None,
        file_ids: Sequence[str] = (),
    ) -> Collection:
        """Raises NotFoundError for a file that ``owner`` does not have."""
        for file_id in file_ids:
            self._files.get(owner, file_id)
        collection_id, now = f"vs_{uuid4().hex}", self._now
        row = (collection_id, owner, name, description, json.dumps(metadata or {}), now, now, keep_days)
        columns = "id, owner, name, description, metadata, created_at, last_active_at, keep_days"
        with self._database.writing() as connection:
            connection.execute(f"INSERT INTO collections ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            for file_id in file_ids:
                self._attach(connection, collection_id, file_id, {})
        return self.get(owner, collection_id)

    def get(self, owner: str, collection_id: str) -> Collection:
        """Raises NotFoundError where ``owner`` has no such collection."""
        row = one_row(self._database.connection(), "collections", {"id = ?": collection_id, **self._visible(owner)})
        if row is None:
            message = f"there is no vector store {collection_id!r}; GET /v1/vector_stores lists yours"
            raise NotFoundError(message, param="vector_store_id")
        return self._collection_of(row)

    def list_after(
        self, owner: str, *, limit: int, after: str | None = None, before: str | None = None, order: Order = "desc"
    ) -> tuple[list[Collection], bool]:
        """Up to ``limit`` of them, and whether there are more. Raises NotFoundError for ``after`` and ``before``."""
        connection = self._database.connection()
        rows, has_more = rows_after(
            connection, "collections", self._visible(owner), limit=limit, after=after, before=before, order=order
        )
        return [self._collection_of(row) for row in rows], has_more

    def update(self, owner: str, collection_id: str, changes: Mapping[str, Any]) -> Collection:
        """``changes``: name, metadata, keep_days. Raises NotFoundError."""
        self.get(owner, collection_id)
        values = {name: json.dumps(value) if name == "metadata" else value for name, value in changes.items()}
        values["last_active_at"] = self._now
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        with self._database.writing() as connection:
            connection.execute(f"UPDATE collections SET {assignments} WHERE id = :id", {**values, "id": collection_id})
        return self.get(owner, collection_id)

    def delete(self, owner: str, collection_id: str) -> None:
        """The files stay. Raises NotFoundError."""
        self.get(owner, collection_id)
        with self._database.writing() as connection:
            connection.execute("DELETE FROM collections WHERE id = ?", (collection_id,))

    def add(self, owner: str, collection_id: str, file_id: str, attributes: Attributes) -> Member:
        """Puts a file into a collection, to be read in the background. Raises NotFoundError for either."""
        self.get(owner, collection_id)
        self._files.get(owner, file_id)
        with self._database.writing() as connection:
            self._attach(connection, collection_id, file_id, attributes)
            self._touch(connection, collection_id)
        return self.member(owner, collection_id, file_id)

    def member(self, owner: str, collection_id: str, file_id: str) -> Member:
        """Raises NotFoundError."""
        members, _ = self._member_rows(owner, collection_id, {"id = ?": file_id}, limit=1)
        if not members:
            raise NotFoundError(f"there is no file {file_id!r} in {collection_id!r}", param="file_id")
        return members[0]

    def members_after(
        self,
        owner: str,
        collection_id: str,
        *,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        order: Order = "desc",
        status: Status | None = None,
    ) -> tuple[list[Member], bool]:
        """Raises NotFoundError for the collection, ``after`` and ``before``."""
        only = {"status = ?": status} if status else {}
        return self._member_rows(owner, collection_id, only, limit=limit, after=after, before=before, order=order)

    def remove(self, owner: str, collection_id: str, file_id: str) -> None:
        """Takes a file out of a collection; it stays a file. Raises NotFoundError."""
        self.member(owner, collection_id, file_id)
        with self._database.writing() as connection:
            connection.execute("DELETE FROM members WHERE collection = ? AND id = ?", (collection_id, file_id))
            self._touch(connection, collection_id)

    def set_attributes(self, owner: str, collection_id: str, file_id: str, attributes: Attributes) -> Member:
        """Raises NotFoundError."""
        self.member(owner, collection_id, file_id)
        with self._database.writing() as connection:
            values = (json.dumps(attributes), collection_id, file_id)
            connection.execute("UPDATE members SET attributes = ? WHERE collection = ? AND id = ?", values)
        return self.member(owner, collection_id, file_id)

    def found_in(self, owner: str, collection_ids: Sequence[str]) -> list[Member]:
        """The files that a search of these collections looks through. Raises NotFoundError."""
        found: list[Member] = []
        for collection_id in collection_ids:
            found += self.members_after(owner, collection_id, limit=1_000_000, order="asc", status="completed")[0]
        with self._database.writing() as connection:
            for collection_id in collection_ids:
                self._touch(connection, collection_id)
        return found

    def sweep(self) -> int:
        """Deletes collections that have expired; returns how many."""
        with self._database.writing() as connection:
            statement = f"DELETE FROM collections WHERE NOT {_NOT_STALE}"
            return connection.execute(statement, (self._now,)).rowcount

    @property
    def _now(self) -> int:
        return int(self._files.clock())

    def _visible(self, owner: str) -> dict[str, object]:
        return {_NOT_STALE: self._now, "owner = ?": owner}

    def _attach(self, connection: sqlite3.Connection, collection_id: str, file_id: str, attributes: Attributes) -> None:
        columns, values = "collection, id, attributes, created_at", (collection_id, file_id, json.dumps(attributes))
        try:
            connection.execute(f"INSERT OR IGNORE INTO members ({columns}) VALUES (?, ?, ?, ?)", (*values, self._now))
        except sqlite3.IntegrityError as error:  # it was deleted since it was asked for
            raise no_such_file(file_id) from error
        connection.execute(
            "INSERT OR IGNORE INTO texts (digest, render) SELECT digest, ? FROM files WHERE id = ?",
            (self.render, file_id),
        )

    def _touch(self, connection: sqlite3.Connection, collection_id: str) -> None:
        connection.execute("UPDATE collections SET last_active_at = ? WHERE id = ?", (self._now, collection_id))

    def _member_rows(
        self, owner: str, collection_id: str, conditions: Mapping[str, object], **page: Any
    ) -> tuple[list[Member], bool]:
        self.get(owner, collection_id)
        conditions = {"collection = ?": collection_id, NOT_EXPIRED: self._now, **conditions}
        rows, has_more = rows_after(self._database.connection(), self._members, conditions, **page)
        return [_member_of(row) for row in rows], has_more

    def _collection_of(self, row: sqlite3.Row) -> Collection:
        where = f"collection = ? AND {NOT_EXPIRED}"
        statement = f"SELECT status, count(*), total(num_bytes) FROM {self._members} WHERE {where} GROUP BY 1"
        counts = self._database.connection().execute(statement, (row["id"], self._now)).fetchall()
        return Collection(
            row["id"],
            row["name"],
            row["description"],
            json.loads(row["metadata"]),
            row["created_at"],
            row["last_active_at"],
            row["keep_days"],
            int(sum(num_bytes for _, _, num_bytes in counts)),
            {status: count for status, count, _ in counts},
        )


_NOT_STALE = f"ifnull(last_active_at + keep_days * {DAY_S}, 9e18) > ?"


def _member_of(row: sqlite3.Row) -> Member:
    return Member(
        row["id"],
        row["collection"],
        row["name"],
        row["num_bytes"],
        row["digest"],
        row["created_at"],
        json.loads(row["attributes"]),
        row["status"],
        row["error_code"],
        row["error_message"],
    )
