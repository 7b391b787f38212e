"""Pages' features on disk, below the cache in memory: what was encoded once is read after a restart."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from glyph_core.errors import ConfigError
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.types import digest_of

VALUES = "values"
UNFINISHED = ".part"

logger = logging.getLogger(__name__)


def default_path() -> str:
    """In the user's cache folder, as the XDG Base Directory Specification has it."""
    return str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "glyph-serve" / "features")


def fingerprint(checkpoint: Checkpoint, *precision: object) -> str:
    """Names what makes features of pixels: the checkpoint's files and ``precision``, which is all that rounds.

    Weights are named by their files' names, sizes and times of change: reading gigabytes would cost more than it saves.
    """
    files = sorted(path for path in checkpoint.path.iterdir() if path.is_file())
    weights = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    return digest_of(*(text.encode() for text in (*weights, *map(str, precision))))


class FeatureStore:
    """One file a page, named by its digest, at most ``max_bytes`` of them; those used longest ago go first.

    Several processes may share ``folder``: files appear whole or not at all, and one that is gone is no error. What
    another process has written is found from the next start on. One thread reads and writes; others may ask for ``in``.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Raises ConfigError where ``folder`` cannot be made or read."""
        self._folder, self.max_bytes = folder, max_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()  # by page digest, that used longest ago first
        self.num_bytes = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = [(entry.name, entry.stat()) for entry in os.scandir(folder) if entry.is_file()]
        except OSError as error:
            raise ConfigError(f"features cannot be kept in {folder}: {error}") from error
        for name, stat in sorted(found, key=lambda entry: entry[1].st_mtime):
            if name.endswith(UNFINISHED):
                self._remove(name)  # of a process that was killed; one that lives writes it again another time
            else:
                self._add(name, stat.st_size)
        self._shrink()

    def __contains__(self, page_digest: str) -> bool:
        return page_digest in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def read(self, page_digest: str) -> tuple[np.ndarray, Mapping[str, str]] | None:
        """The values and what was said of them; None where there are none or where the file is damaged, which goes."""
        if page_digest not in self._sizes:
            return None
        path = self._folder / page_digest
        try:
            with safe_open(path, framework="numpy") as file:
                values, about = file.get_tensor(VALUES), file.metadata() or {}
            os.utime(path)
        except (OSError, SafetensorError) as error:
            if not isinstance(error, FileNotFoundError):
                logger.warning("the kept features in %s cannot be read and are made again: %s", path, error)
            self._forget(page_digest)
            return None
        self._sizes.move_to_end(page_digest)
        return values, about

    def write(self, page_digest: str, values: np.ndarray, about: Mapping[str, str]) -> None:
        """Keeps ``values``. A full disk loses them and nothing else, which the log says."""
        if page_digest in self._sizes:
            return
        content = save({VALUES: np.ascontiguousarray(values)}, dict(about))
        unfinished = self._folder / f"{page_digest}.{uuid4().hex}{UNFINISHED}"
        try:
            unfinished.write_bytes(content)
            unfinished.replace(self._folder / page_digest)
        except OSError as error:
            logger.warning("features cannot be kept in %s: %s", self._folder, error)
            self._remove(unfinished.name)
            return
        self._add(page_digest, len(content))
        self._shrink()

    def _add(self, page_digest: str, num_bytes: int) -> None:
        self._sizes[page_digest] = num_bytes
        self.num_bytes += num_bytes

    def _forget(self, page_digest: str) -> None:
        self.num_bytes -= self._sizes.pop(page_digest)
        self._remove(page_digest)

    def _shrink(self) -> None:
        while self.num_bytes > self.max_bytes:
            self._forget(next(iter(self._sizes)))

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self._folder / name).unlink()
