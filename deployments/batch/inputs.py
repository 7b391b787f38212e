"""What a batch is about: the files, and the questions that are asked of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glyph_core.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class BatchFile:
    name: str  # in the answers: below the folder, or as the list has it
    path: Path


def batch_files(source: Path) -> list[BatchFile]:
    """All files below a folder, in the order of their names, without hidden ones; or those that a list names, one a
    line. Raises InvalidRequestError where there is none."""
    if source.is_dir():
        files = [BatchFile(str(path.relative_to(source)), path) for path in sorted(_files_below(source))]
    else:
        files = [BatchFile(line, Path(line)) for line in _lines(source, "the list of files")]
    if not files:
        raise InvalidRequestError(f"{source} holds no file to ask about")
    return files


def batch_questions(path: Path) -> list[str]:
    """One a line. Raises InvalidRequestError where there is none."""
    questions = _lines(path, "the questions")
    if not questions:
        raise InvalidRequestError(f"{path} holds no question; write one a line", param="questions")
    return questions


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _lines(path: Path, what: str) -> list[str]:
    """Without blank ones, each once."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{what} cannot be read from {path}: {error}") from error
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
