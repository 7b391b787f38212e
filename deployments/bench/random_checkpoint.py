"""Writes a checkpoint folder of a shape without weights: they are drawn on the device when it is loaded.

    python -m deployments.bench.random_checkpoint FOLDER
    glyph serve --model FOLDER

For measuring speed and memory of a model that is not at hand. The tokenizer is glyph-mini's, a token a byte, so texts
are longer in tokens than the real one would make them; the vocabulary, and so the cost of a step, is the shape's.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import glyph_core.model
from glyph_core.model.checkpoint import BUILT_IN, read_json

CONFIGS = Path(glyph_core.model.__file__).parent / "configs"
COPIED = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
SHAPES = sorted(file.stem for file in CONFIGS.glob("*.json") if "." not in file.stem)


def write_random_checkpoint(folder: Path, shape: str = "glyph_9b") -> Path:
    """``shape`` is a file of glyph_core/model/configs, without its ending; beside it may stand the image processor's
    settings, else they are glyph-mini's."""
    mini = BUILT_IN["glyph-mini"]
    config = read_json(CONFIGS / f"{shape}.json", required=True)
    tokens = read_json(mini / "config.json", required=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copy(mini / name, folder)
    processor = CONFIGS / f"{shape}.processor.json"
    shutil.copy(processor if processor.exists() else mini / "processor_config.json", folder / "processor_config.json")
    (folder / "config.json").write_text(json.dumps(_with_tokens(config, tokens), indent=1) + "\n")
    (folder / "glyph_config.json").write_text(json.dumps({"weights": "random"}) + "\n")
    return folder


def _with_tokens(config: dict[str, Any], tokens: dict[str, Any]) -> dict[str, Any]:
    """``config`` with the ids that special tokens have in the model of the configuration ``tokens``."""
    ids = {name: value for name, value in tokens.items() if name.endswith("_token_id")}
    text_ids = {name: value for name, value in tokens["text_config"].items() if name.endswith("_token_id")}
    return config | ids | {"text_config": config["text_config"] | text_ids}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="random_checkpoint", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", default="glyph_9b", choices=SHAPES)
    given = parser.parse_args(arguments)
    write_random_checkpoint(given.folder, given.shape)


if __name__ == "__main__":
    main()
