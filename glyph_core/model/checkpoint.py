"""What a checkpoint says of itself, without its weights: imports neither torch nor transformers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from glyph_core.config import PRESETS
from glyph_core.errors import ModelError
from glyph_core.model.declaration import Calibration, GlyphConfig, ReadingRange
from glyph_core.model.hub import SMALL_FILES, download

BUILT_IN = {"glyph-mini": Path(__file__).parent.parent / "checkpoints" / "glyph_mini"}
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint folder and what its small files say."""

    path: Path
    name: str  # the model id that the endpoint serves it under
    family: str  # config.json's model_type
    preset: str  # render preset that it was trained for
    max_model_len: int  # tokens of prompt and answer
    eos_token_ids: tuple[int, ...]
    dtype: str | None = None  # that its weights are stored in, by torch's name; None: not said
    window_pages: int | None = None  # pages that it reads well at once; None: as many as its context holds
    page_labels: bool = False  # pages of several documents stand behind labels
    about: str | None = None  # what its users should know, to be read after its name
    absent_answer: str | None = None  # what it answers where the pages don't tell; None: no fixed words
    reads: ReadingRange | None = None  # what it was measured on; None: not declared
    calibration: Calibration | None = None  # of its confidence; None: none was fitted
    is_random: bool = False  # its weights are drawn when loaded: for measuring
    hub_id: str | None = None  # where loading a part gets that part's weights; None: they are all there

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What it does without, and what it does instead; for /healthz."""
        return ("the weights are random, for measuring: answers mean nothing",) if self.is_random else ()


def resolve_checkpoint(model: str) -> Checkpoint:
    """The checkpoint that ``model`` names: ``glyph-mini``, a folder, or a hub id, of which it downloads the small
    files; weights are got by those who load them.

    What transformers has no place for stands in the folder's ``glyph_config.json``, where there is one:
    :class:`~glyph_core.model.declaration.GlyphConfig`; its defaults stand for what it does not say.

    Raises ModelError when there is no such checkpoint or its small files are missing or damaged.
    """
    if model in BUILT_IN:
        return read_checkpoint(BUILT_IN[model], model)
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return read_checkpoint(folder, folder.resolve().name)
    if HUB_ID.fullmatch(model):
        return replace(read_checkpoint(download(model, SMALL_FILES), model), hub_id=model)
    raise ModelError(
        f"there is no model {model!r}: it is no folder, no hub id (owner/name) and none of {', '.join(BUILT_IN)}"
    )


def read_checkpoint(path: Path, name: str) -> Checkpoint:
    """Reads the small files of the folder ``path``; raises ModelError naming the one at fault."""
    config = read_json(path / "config.json", required=True)
    text_config = config.get("text_config", config)
    glyph_config = _glyph_config(path)
    try:
        return Checkpoint(
            path=path,
            name=name,
            family=str(config["model_type"]),
            preset=glyph_config.render_preset,
            max_model_len=int(text_config["max_position_embeddings"]),
            eos_token_ids=_eos_token_ids(path, text_config),
            dtype=config.get("dtype", config.get("torch_dtype")),  # the second is transformers 4's name
            window_pages=glyph_config.window_pages,
            page_labels=glyph_config.page_labels,
            about=glyph_config.about,
            absent_answer=glyph_config.absent_answer,
            reads=glyph_config.reads,
            calibration=glyph_config.calibration,
            is_random=glyph_config.weights == "random",
        )
    except KeyError as error:
        raise ModelError(f"{path / 'config.json'} lacks the key {error}; is it a transformers checkpoint?") from error


def read_json(path: Path, *, required: bool = False) -> dict[str, Any]:
    """The object in ``path``; {} where an optional file is absent. Raises ModelError for anything else."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if not required:
            return {}
        raise ModelError(f"{path.parent} is no checkpoint: it has no {path.name}") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object")
    return content


def _eos_token_ids(path: Path, text_config: Mapping[str, Any]) -> tuple[int, ...]:
    """Those of generation_config.json, as transformers' ``generate`` takes them; else the model configuration's."""
    ids = read_json(path / "generation_config.json").get("eos_token_id", text_config.get("eos_token_id"))
    if ids is None:
        raise ModelError(f"{path}: neither generation_config.json nor config.json names an eos_token_id")
    return tuple(ids) if isinstance(ids, list) else (int(ids),)


def _glyph_config(path: Path) -> GlyphConfig:
    file = path / "glyph_config.json"
    try:
        glyph_config = GlyphConfig.model_validate(read_json(file))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ModelError(f"{file} is at fault: {faults}") from error
    if glyph_config.render_preset not in PRESETS:
        raise ModelError(
            f"{file} names the render preset {glyph_config.render_preset!r}; there are: {', '.join(PRESETS)}"
        )
    return glyph_config
