"""What a family's model weighs by its configuration alone is what transformers makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of
from glyph_core.model.transformers_family import TransformersFamily
from tests.tiny_families import FAMILIES, make_tiny


def num_weights(family: TransformersFamily, config: Any) -> tuple[int, int]:
    """Of transformers' model: the vision half's, the language model's."""
    with torch.device("meta"):
        model = getattr(transformers, family.architecture)(config)
    names = [(name.removeprefix("model."), weight.numel()) for name, weight in model.named_parameters()]
    text = sum(count for name, count in names if name.startswith(("language_model.", "lm_head.")))
    return sum(count for _, count in names) - text, text


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_is_counted(tmp_path: Path, name: str) -> None:
    """Of the tiny checkpoint, and of a configuration that leaves out all that it may."""
    folder = make_tiny(tmp_path, name)
    for is_bare in (False, True):
        checkpoint = resolve_checkpoint(str(folder))
        family = family_of(checkpoint)
        assert isinstance(family, TransformersFamily)
        if is_bare:
            halves = {"text_config": {"model_type": "llama"}, "vision_config": {"model_type": "clip_vision_model"}}
            bare = {"model_type": name, "tie_word_embeddings": False, **(halves if name.startswith("llava") else {
                "text_config": {}, "vision_config": {}
            })}  # fmt: skip
            family.text_config = {**family.text_defaults, **bare["text_config"]}
            family.vision_config = {**family.vision_defaults, **bare["vision_config"]}
            family.config = bare
            config = transformers.AutoConfig.for_model(**bare)
        else:
            config = transformers.AutoConfig.from_pretrained(folder)
        shape = family.shape()
        vision, text = num_weights(family, config)
        assert shape.text.num_kept_weights + shape.text.num_linear_weights == text
        assert shape.vision.weight_bytes(1, is_fp8=False) == vision
        assert shape.text.head_dim * config.text_config.num_attention_heads == (
            shape.text.qkv_size - 2 * shape.text.num_kv_heads * shape.text.head_dim
        )


def test_tied_embeddings_are_counted_once(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path, "qwen2_5_vl")
    config = json.loads((folder / "config.json").read_text())
    whole = family_of(resolve_checkpoint(str(folder))).shape().text
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    assert family_of(resolve_checkpoint(str(folder))).shape().text == replace(whole, tied=True)
    assert replace(whole, tied=True).num_kept_weights == whole.num_kept_weights - whole.vocab_size * whole.hidden_size
