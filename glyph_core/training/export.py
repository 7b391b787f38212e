"""A trained model as a checkpoint folder that ``from_pretrained`` loads."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import torch
from transformers import Glm4vForConditionalGeneration

from glyph_core.errors import ModelError
from glyph_core.training.vocabulary import ID_OF

COMPANION_FILES = (
    "tokenizer.json", "tokenizer_config.json", "processor_config.json", "chat_template.jinja", "glyph_config.json",
)  # fmt: skip


def export(model: Glm4vForConditionalGeneration, folder: Path, companions: Path) -> None:
    """Writes ``model`` to ``folder`` in bfloat16, with the tokenizer, processor and chat template of ``companions``.

    Those belong to the format, not to the weights: a byte-level vocabulary and the family's own preprocessing.
    Raises ModelError naming a file that ``companions`` lacks.
    """
    generation = model.generation_config
    generation.eos_token_id = [ID_OF["<|endoftext|>"], ID_OF["<|user|>"]]
    generation.pad_token_id = ID_OF["<|endoftext|>"]
    generation.do_sample = False
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
    if folder.resolve() == companions.resolve():
        return
    for name in COMPANION_FILES:
        if not (companions / name).is_file():
            raise ModelError(f"{companions} has no {name}; name a folder of glyph-mini's format")
        shutil.copyfile(companions / name, folder / name)
