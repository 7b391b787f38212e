"""A tiny llava learns to read twenty words through both stages, as ``scripts/train.py`` runs them, in minutes on a CPU.

Its page is 10 × 10 cells of 14 px, and a cell is one patch, as large as CLIP-ViT-L/14's: a letter looks the same
wherever it stands, so what is read at new places has been read and not remembered. With type set freely over patches
the same model learns its 480 pages by heart within these steps: it reads .93 of them, and .05 of those held out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import transformers
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from glyph_core.config import PRESETS, PipelineConfig, SamplingConfig
from glyph_core.pipeline import Pipeline
from glyph_core.training.stages.config import StageConfig
from glyph_core.training.stages.trainer import StageTrainer
from glyph_core.types import DocumentSource
from tests.tiny_families import make_tiny
from tests.training.words import QUESTION, WORDS, losses, page_text, write_words

CELL_PX, NUM_CELLS = 14, 10
PAGE_PX = CELL_PX * NUM_CELLS
RENDER = PRESETS["mini"].model_copy(
    update={
        "font_size_px": 14.0, "cell_width_px": CELL_PX, "line_height_px": 14.0, "margin_px": CELL_PX,
        "page_width_px": PAGE_PX, "page_height_px": PAGE_PX, "min_width_px": PAGE_PX,
    }
)  # fmt: skip
PLACES = [(indent, line) for indent in range(3) for line in range(8)]
HIDDEN_SIZE = 64


def make_reader(folder: Path) -> Path:
    """0.27 M random weights: a CLIP of three layers, of which two are used, and a Llama of two."""
    sizes = {"hidden_size": HIDDEN_SIZE, "intermediate_size": 2 * HIDDEN_SIZE, "num_attention_heads": 4}
    text = transformers.LlamaConfig(
        **sizes, vocab_size=288, num_hidden_layers=2, max_position_embeddings=512, bos_token_id=257, eos_token_id=258,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
    )  # fmt: skip
    vision = transformers.CLIPVisionConfig(
        **sizes, num_hidden_layers=3, image_size=PAGE_PX, patch_size=CELL_PX, projection_dim=HIDDEN_SIZE
    )
    torch.manual_seed(0)  # what make_tiny does not draw itself: the class token
    make_tiny(folder, "llava", text_config=text, vision_config=vision, image_seq_length=NUM_CELLS**2)
    square = {"height": PAGE_PX, "width": PAGE_PX}
    processor = LlavaImageProcessorPil(
        size={"shortest_edge": PAGE_PX}, crop_size=square, image_mean=[1.0] * 3, image_std=[0.5] * 3
    )  # paper is 0: what CLIP's own mean makes of it would drown the ink
    (folder / "preprocessor_config.json").write_text(processor.to_json_string())
    return folder


def share_right(folder: Path, pages: Sequence[tuple[str, int, int]]) -> float:
    """Of the pages that the pipeline reads to the last letter."""
    pipeline = Pipeline.from_pretrained(folder, PipelineConfig(render=RENDER))
    sampling = SamplingConfig(max_tokens=12)
    sources = [(page[0], DocumentSource("page.txt", page_text(*page).encode())) for page in pages]
    return sum(pipeline.ask([page], QUESTION, sampling=sampling).text == word for word, page in sources) / len(pages)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine gives it a fifth of a core
def test_a_tiny_llava_learns_to_read_through_both_stages(tmp_path: Path) -> None:
    """Four minutes of one core. Half the pages a step are half the time, and .87 of the held-out ones."""
    folder = make_reader(tmp_path / "random")
    pages = [(word, *place) for word in WORDS for place in PLACES]
    held_out = random.Random(0).sample(pages, 60)
    data = write_words(tmp_path / "words.jsonl", [page for page in pages if page not in held_out])
    assert share_right(folder, held_out[:20]) <= 1 / len(WORDS), "it could read before it learnt to"
    fields = {"data": data, "render": RENDER, "rate": 2e-3, "warmup_steps": 20, "save_every": 1000, "device": "cpu"}
    align = StageConfig(
        stage="align", model=str(folder), trains=("projector", "vision"), steps=120, batch_size=64, micro_batch=64,
        **fields,
    )  # fmt: skip
    aligned = StageTrainer(align, tmp_path / "align").run()
    assert losses(tmp_path / "align")[-1][1] < 0.7 * losses(tmp_path / "align")[0][1]
    instruct = StageConfig(stage="instruct", model=str(aligned), steps=240, batch_size=64, micro_batch=64, **fields)
    taught = StageTrainer(instruct, tmp_path / "instruct").run()
    assert taught is not None
    assert share_right(taught, held_out) >= 0.9
