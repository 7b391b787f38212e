"""Which weights lie in which of a checkpoint's files, and getting those that a part needs. Imports no torch.

A file in the safetensors format begins with the length of a JSON header, eight bytes, and the header itself: name,
dtype, shape and place of each weight. So what a checkpoint holds is known without reading a weight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import Checkpoint, read_json
from glyph_core.model.hub import download

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
DTYPE_BITS = {"F64": 64, "I64": 64, "F32": 32, "I32": 32, "F16": 16, "BF16": 16, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}

Part = Literal["text", "vision"]
PARTS: tuple[Part, ...] = ("vision", "text")
Keeps = Callable[[str], bool]  # of a weight's name in the files: whether a part needs it


@dataclass(frozen=True, slots=True)
class StoredWeight:
    name: str
    dtype: str  # as safetensors names it
    num_numbers: int
    num_bytes: int


def shards_of(path: Path, keeps: Keeps) -> list[str]:
    """Names of the files that hold a weight which ``keeps`` names; where there is no index, the only one."""
    weight_map = read_json(path / INDEX).get("weight_map")
    if weight_map is None:
        return [SINGLE]
    return sorted({file for name, file in weight_map.items() if keeps(name)})


def fetch_shards(checkpoint: Checkpoint, keeps: Keeps) -> None:
    """Downloads what ``keeps`` names and is not there yet, where the checkpoint comes from the hub. Raises ModelError
    where that fails."""
    missing = [file for file in shards_of(checkpoint.path, keeps) if not (checkpoint.path / file).exists()]
    if checkpoint.hub_id is not None and missing:
        download(checkpoint.hub_id, missing, revision=checkpoint.path.name)


def stored_weights(path: Path, files: Iterable[str]) -> list[StoredWeight]:
    """What the headers of ``files`` in the folder ``path`` say. Raises ModelError for one that is missing or bad."""
    return [weight for file in files for weight in _header(path / file)]


def _header(file: Path) -> list[StoredWeight]:
    try:
        with file.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
            if not 0 < length <= MAX_HEADER_BYTES:
                raise ModelError(f"{file} is no safetensors file; get the checkpoint again")
            header = json.loads(content.read(length))
            size = file.stat().st_size - 8 - length
    except (OSError, ValueError) as error:
        raise ModelError(f"the weights in {file} cannot be read: {error}") from error
    header.pop("__metadata__", None)
    end = max((weight["data_offsets"][1] for weight in header.values()), default=0)
    if end != size:
        raise ModelError(f"{file} has {size:,} bytes of weights and says it has {end:,}; get the checkpoint again")
    return [
        StoredWeight(
            name, weight["dtype"], math.prod(weight["shape"]), weight["data_offsets"][1] - weight["data_offsets"][0]
        )
        for name, weight in header.items()
    ]
