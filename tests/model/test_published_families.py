"""Checkpoints laid out as they are published, with older names and without what was a default then: the same weights
must give the same model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of
from glyph_core.model.tokenizer import Tokenizer
from tests.model.list_attention import ListAttention
from tests.tiny_checkpoint import question_about, random_pages
from tests.tiny_families import LLAVA_TEMPLATE, hf_inputs, make_tiny

CPU = torch.device("cpu")


def logits(folder: Path) -> torch.Tensor:
    """The logits at every token of a prompt that is nothing but pages."""
    family = family_of(resolve_checkpoint(str(folder)))
    text, vision = family.load_text(torch.float32, CPU), family.load_vision(torch.float32, CPU)
    rows = torch.cat(vision.encode(*family.preprocess(random_pages([(140, 196), (100, 120)]))))
    attention = ListAttention(1, text.num_layers)
    attention.lengths = [len(rows)]
    return text.logits(text.forward(rows, torch.arange(len(rows)).expand(3, -1), attention))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def rename(folder: Path, **prefixes: str) -> None:
    """Weights whose names begin with a key of ``prefixes`` (``__`` for a dot) begin with its value from then on."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    for old, new in prefixes.items():
        start = old.replace("__", ".")
        weights = {new + n.removeprefix(start) if n.startswith(start) else n: w for n, w in weights.items()}
    save_file(weights, file, metadata={"format": "pt"})


def names(folder: Path) -> set[str]:
    with safe_open(folder / "model.safetensors", "pt") as weights:
        return {".".join(name.split(".")[:2]) for name in weights.keys()}  # noqa: SIM118


def test_qwen2_5_vl(tmp_path: Path) -> None:
    """Published with ``visual.`` and ``model.`` names and the language model's settings among the others."""
    current = make_tiny(tmp_path / "current", "qwen2_5_vl")
    published = shutil.copytree(current, tmp_path / "published")
    assert {"visual.blocks", "model.layers", "lm_head.weight"} <= names(published)
    config = read(published / "config.json")
    text = config.pop("text_config")
    flat = config | {key: value for key, value in text.items() if key not in ("model_type", "rope_parameters")}
    rope = text["rope_parameters"]
    flat |= {"rope_theta": rope["rope_theta"], "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
    (published / "config.json").write_text(json.dumps(flat | {"architectures": ["Qwen2_5_VLForConditionalGeneration"]}))
    processor = read(published / "preprocessor_config.json")
    size = processor.pop("size")
    processor |= {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
    (published / "preprocessor_config.json").write_text(json.dumps(processor))
    assert torch.equal(logits(published), logits(current))
    shapes = [family_of(resolve_checkpoint(str(folder))).shape() for folder in (current, published)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", ["llava", "llava_next"])
def test_llava(tmp_path: Path, name: str) -> None:
    """Published with the language model first in its names, ``image_token_index``, and the template beside it."""
    current = make_tiny(tmp_path / "current", name)
    published = shutil.copytree(current, tmp_path / "published")
    rename(
        published, model__language_model__="language_model.model.", lm_head__="language_model.lm_head.",
        model__vision_tower__="vision_tower.", model__multi_modal_projector__="multi_modal_projector.",
        model__image_newline="image_newline",
    )  # fmt: skip
    assert {"language_model.model", "language_model.lm_head"} <= names(published)
    config = read(published / "config.json")
    if "image_token_id" in config:
        config["image_token_index"] = config.pop("image_token_id")
    (published / "config.json").write_text(json.dumps(config))
    (published / "chat_template.jinja").unlink()
    (published / "chat_template.json").write_text(json.dumps({"chat_template": LLAVA_TEMPLATE}))
    assert torch.equal(logits(published), logits(current))
    messages = question_about(1, "Who signed it?")
    tokenizer = Tokenizer(resolve_checkpoint(str(published)))
    assert tokenizer.encode_chat(messages) == Tokenizer(resolve_checkpoint(str(current))).encode_chat(messages)


def test_llavas_prompt(tmp_path: Path) -> None:
    """Its template leaves ``<s>`` to the tokenizer, and drops turns that are no lists of parts."""
    folder = make_tiny(tmp_path, "llava")
    tokenizer = Tokenizer(resolve_checkpoint(str(folder)))
    plain = [{"role": "user", "content": "Hello"}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    assert tokenizer.decode(tokenizer.encode_chat(plain), skip_special=False) == "<s>USER: Hello ASSISTANT:"
    assert tokenizer.encode_chat(plain) == hf_inputs(folder, [], parts)["input_ids"][0].tolist()
    spelt = tokenizer.encode_chat([{"role": "user", "content": "Hello <s> <image>"}])
    assert spelt[0] == 257
    assert 257 not in spelt[1:]
    assert 259 not in spelt


def test_sliding_windows_are_refused(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path, "qwen2_5_vl")
    config = read(folder / "config.json")
    config["text_config"] |= {
        "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 0,
        "layer_types": ["sliding_attention"] * 4,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="attends to the last 64 tokens only"):
        family_of(resolve_checkpoint(str(folder))).load_text(torch.float32, CPU)
