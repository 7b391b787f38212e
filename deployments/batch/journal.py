"""The answers on disk: one JSON object a line, each on the disk before the next question counts as answered.

A line is appended in one write and synced. So a run that is killed leaves whole lines and at most one torn one at the
end, which the next run takes off; what stands in a whole line is never asked again.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from deployments.openai_answers import Json
from glyph_core.errors import InvalidRequestError


class Key(NamedTuple):
    """What makes a question one and the same: a changed file is another document."""

    file: str
    digest: str
    question: str


class Journal:
    """Use it as a context manager. One process at a time writes a file."""

    def __init__(self, path: Path, *, forget_failures: bool = False) -> None:
        """Reads what earlier runs left; with ``forget_failures`` their errors are taken out, to be asked again.

        Raises InvalidRequestError where the file holds something else, or where another run is writing it.
        """
        self._path = path
        self._descriptor = _open_locked(path)
        try:
            records = self._recover()
            if forget_failures and any(record["error"] for record in records):
                records = [record for record in records if not record["error"]]
                self._rewrite(records)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.done: dict[Key, str] = {_key(record): _error_code(record) for record in records}  # "": answered

    def append(self, key: Key, record: Json) -> None:
        """Returns when the line is on the disk. Blocks: call it from a thread, one call at a time."""
        self._write(_line({**key._asdict(), **record}))
        os.fsync(self._descriptor)
        self.done[key] = _error_code(record)

    def _recover(self) -> list[Json]:
        whole, _, torn = self._path.read_bytes().rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        records = [self._parse(line, number) for number, line in enumerate(lines, 1)]
        if torn:
            last = _record_of(torn)
            if last is None:
                os.ftruncate(self._descriptor, len(whole) + 1 if lines else 0)
            else:  # only its end was lost
                self._write(b"\n")
                records.append(last)
            os.fsync(self._descriptor)
        return records

    def _parse(self, line: bytes, number: int) -> Json:
        record = _record_of(line)
        if record is None:
            raise InvalidRequestError(
                f"line {number} of {self._path} is no answer of `glyph batch`; name another file with --out",
                param="out",
            )
        return record

    def _rewrite(self, records: list[Json]) -> None:
        """Killed on the way, the old file stays. Whoever had the old one open loses nothing: only we may write it."""
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        descriptor = _open_locked(fresh)
        old, self._descriptor = self._descriptor, descriptor
        self._write(b"".join(_line(record) for record in records))
        os.fsync(descriptor)
        fresh.replace(self._path)
        os.close(old)

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._descriptor, content) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def _open_locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InvalidRequestError(f"another `glyph batch` is writing {path}; let it end first", param="out") from error
    return descriptor


def _key(record: Json) -> Key:
    return Key(record["file"], record["digest"], record["question"])


def _error_code(record: Json) -> str:
    error = record["error"]
    return str(error["code"] if isinstance(error, dict) and error.get("code") else error) if error else ""


def _line(record: Json) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def _record_of(line: bytes) -> Json | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    is_record = isinstance(value, dict) and {*Key._fields, "answer", "error"} <= value.keys()
    return value if is_record and all(isinstance(value[name], str) for name in Key._fields) else None
