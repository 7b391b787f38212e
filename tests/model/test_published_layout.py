"""A checkpoint laid out as zai-org publishes GLM-4.1V and Glyph: the same weights must give the same model.

Against what transformers 5 writes: rotary settings under their older names, the image processor in
``preprocessor_config.json``, bfloat16 shards by index, several ends of sequence, the image token's id in
``text_config`` too, and a model type of its own inside ``vision_config``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Glm4vForConditionalGeneration

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import Family, family_of
from tests.model.list_attention import ListAttention
from tests.tiny_checkpoint import SPECIAL_IDS, hf_generate, make_tiny_glm4v, random_pages

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_glm4v(tmp_path_factory.mktemp("current"), dtype="bfloat16")


@pytest.fixture(scope="module")
def published(current: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    whole = Glm4vForConditionalGeneration.from_pretrained(current, dtype=torch.bfloat16)
    whole.save_pretrained(folder, max_shard_size="100KB")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(current / name, folder)
    processor = json.loads((current / "processor_config.json").read_text())["image_processor"]
    kept = ("size", "do_rescale", "patch_size", "temporal_patch_size", "merge_size", "image_mean", "image_std")
    write(folder, "preprocessor_config.json", {key: processor[key] for key in kept} | {
        "image_processor_type": "Glm4vImageProcessor", "processor_class": "Glm4vProcessor",
    })  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    text = config["text_config"]
    rope = text.pop("rope_parameters")
    text |= {
        "rope_theta": rope["rope_theta"], "partial_rotary_factor": rope["partial_rotary_factor"],
        "rope_scaling": {"rope_type": "default", "mrope_section": rope["mrope_section"]}, "attention_bias": True,
        "image_token_id": config["image_token_id"], "video_token_id": config["video_token_id"],
    }  # fmt: skip
    config["vision_config"] |= {"model_type": "glm4v", "hidden_dropout_prob": 0.0}
    write(folder, "config.json", config)
    ends = [SPECIAL_IDS[name] for name in ("<|endoftext|>", "<|user|>", "<|observation|>", "</answer>")]
    write(folder, "generation_config.json", {"eos_token_id": ends, "pad_token_id": ends[0], "do_sample": True})
    return folder


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


def logits(family: Family, pages: list[np.ndarray]) -> torch.Tensor:
    """The logits at every token of a prompt that is nothing but pages."""
    text, vision = family.load_text(torch.float32, CPU), family.load_vision(torch.float32, CPU)
    rows = torch.cat(vision.encode(*family.preprocess(pages)))
    attention = ListAttention(1, text.num_layers)
    attention.lengths = [len(rows)]
    return text.logits(text.forward(rows, torch.arange(len(rows)).expand(3, -1), attention))


def test_the_same_weights_make_the_same_model(current: Path, published: Path) -> None:
    pages = random_pages([(140, 196), (100, 333)])
    families = [family_of(resolve_checkpoint(str(path))) for path in (current, published)]
    assert torch.equal(*(logits(family, pages) for family in families))
    assert hf_generate(current, pages, "?", 8) == hf_generate(published, pages, "?", 8)


def test_its_small_files(published: Path) -> None:
    checkpoint = resolve_checkpoint(str(published))
    assert checkpoint.preset == "glyph-en"
    assert checkpoint.eos_token_ids == (262, 259, 261, 272)
    assert family_of(checkpoint).placeholder_token_id == SPECIAL_IDS["<|image|>"]
    assert family_of(checkpoint).grid_thw(595, 842) == (1, 60, 42)
