"""The language model behind our paged attention equals transformers' whole model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import Glm4vForConditionalGeneration

from glyph_core.errors import ModelError
from glyph_core.model.family import Family, TextModel, VisionModel, place_pages
from glyph_core.types import PagePlan, Prompt
from tests.model.list_attention import ListAttention
from tests.tiny_checkpoint import SPECIAL_IDS, hf_inputs, question_about, random_pages

CPU = torch.device("cpu")
SIZES = [(224, 112), (140, 196), (100, 333), (28, 28)]  # px; the last two are resized


@pytest.fixture(scope="module")
def text(family: Family) -> TextModel:
    return family.load_text(torch.float32, CPU)


@pytest.fixture(scope="module")
def vision(family: Family) -> VisionModel:
    return family.load_vision(torch.float32, CPU)


@pytest.fixture(scope="module")
def full(folder: Path) -> Glm4vForConditionalGeneration:
    return Glm4vForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def plans(sizes: Sequence[tuple[int, int]]) -> list[PagePlan]:
    return [PagePlan(i, width, height, f"page-{i}") for i, (width, height) in enumerate(sizes)]


def prompt_of(family: Family, inputs: dict[str, torch.Tensor], sizes: Sequence[tuple[int, int]]) -> Prompt:
    """Our prompt for transformers' token ids, of which each run of placeholders is first taken back to one."""
    ids, image = inputs["input_ids"][0].tolist(), SPECIAL_IDS["<|image|>"]
    short = [token for i, token in enumerate(ids) if token != image or ids[i - 1] != image]
    return place_pages(family, short, plans(sizes))


def embedded(
    text: TextModel, vision: VisionModel, prompt: Prompt, given: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """(T, H): token embeddings with the pages' features in their places."""
    rows = text.embed(torch.tensor(prompt.token_ids))
    features = vision.encode(*given)
    for page, feature in zip(prompt.pages, features, strict=True):
        rows[page.start : page.stop] = feature
    return rows


def test_chunked_and_batched_forward_equals_the_full_model(
    folder: Path, family: Family, text: TextModel, vision: VisionModel, full: Glm4vForConditionalGeneration
) -> None:
    expected, rows, positions = [], [], []
    for sizes, question in ((SIZES, "What is it?"), (SIZES[::-1], "Who signed, and when?")):
        pages = random_pages(sizes, seed=len(question))
        inputs = hf_inputs(folder, pages, question_about(len(sizes), question))
        with torch.no_grad():
            expected.append(full(**inputs).logits[0])
        prompt = prompt_of(family, inputs, sizes)
        assert list(prompt.token_ids) == inputs["input_ids"][0].tolist()
        rows.append(embedded(text, vision, prompt, family.preprocess(pages)))
        positions.append(text.positions(prompt)[0])

    attention = ListAttention(len(rows), text.num_layers)
    got: list[list[torch.Tensor]] = [[], []]
    done = [0, 0]
    for chunk in ((7, 1), (60, 33), (1, 90), (10_000, 5), (0, 10_000)):  # uneven, and one sequence ends first
        stops = [min(start + n, len(all_rows)) for start, n, all_rows in zip(done, chunk, rows, strict=True)]
        spans = [slice(start, stop) for start, stop in zip(done, stops, strict=True)]
        attention.lengths = [stop - start for start, stop in zip(done, stops, strict=True)]
        hidden = text.forward(
            torch.cat([all_rows[span] for all_rows, span in zip(rows, spans, strict=True)]),
            torch.cat([all_positions[:, span] for all_positions, span in zip(positions, spans, strict=True)], dim=1),
            attention,
        )
        for pieces, piece in zip(got, text.logits(hidden).split(attention.lengths), strict=True):
            pieces.append(piece)
        done = stops

    assert done == [len(all_rows) for all_rows in rows]
    for pieces, reference in zip(got, expected, strict=True):
        # sums in another order, rounded to float32 at each layer
        assert (torch.cat(pieces) - reference).abs().max().item() < 3e-4


@pytest.mark.parametrize("sizes", [[], [(28, 28)], SIZES, [(476, 868)] * 3], ids=len)
def test_positions_are_those_that_generate_uses(
    folder: Path,
    family: Family,
    text: TextModel,
    full: Glm4vForConditionalGeneration,
    sizes: list[tuple[int, int]],
) -> None:
    inputs = hf_inputs(folder, random_pages(sizes), question_about(len(sizes), "What is it?"))
    expected, deltas = full.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], image_grid_thw=inputs.get("image_grid_thw")
    )
    positions, delta = text.positions(prompt_of(family, inputs, sizes))
    assert positions.dtype == torch.int64
    assert torch.equal(positions, expected[:, 0])
    assert delta == deltas.item() == positions.max().item() + 1 - positions.shape[1]


def test_the_model_says_its_shape(text: TextModel, vision: VisionModel) -> None:
    assert (text.num_layers, text.num_kv_heads, text.head_dim, text.hidden_size, text.vocab_size) == (2, 2, 16, 64, 288)
    assert (text.dtype, text.device, vision.dtype, vision.device) == (torch.float32, CPU, torch.float32, CPU)
    assert text.feature_size == text.hidden_size
    hidden = torch.zeros(3, 64)
    assert text.logits(hidden).shape == (3, 288)
    assert not text.embed(torch.tensor([1])).requires_grad


def test_a_bfloat16_model_stays_in_bfloat16(family: Family) -> None:
    """Its logits, too: whoever draws from them widens what he needs."""
    text = family.load_text(torch.bfloat16, CPU)
    rows = text.embed(torch.arange(5))
    attention = ListAttention(1, text.num_layers)
    attention.lengths = [5]
    hidden = text.forward(rows, torch.arange(5).expand(3, -1), attention)
    assert (rows.dtype, hidden.dtype, text.logits(hidden).dtype) == (torch.bfloat16, torch.bfloat16, torch.bfloat16)


def test_pages_without_a_place_are_the_templates_fault(family: Family) -> None:
    image = SPECIAL_IDS["<|image|>"]
    assert place_pages(family, [1, 2], []).pages == ()
    with pytest.raises(ModelError, match="made places for 1 pages of 2"):
        place_pages(family, [1, image, 2], plans(SIZES[:2]))
    prompt = place_pages(family, [1, image, 2, image], plans([(56, 56), (28, 28)]))
    assert [(page.start, page.num_tokens, page.grid_thw) for page in prompt.pages] == [
        (1, 9, (1, 6, 6)),  # 56 px is below the least area, and grown to 84
        (11, 9, (1, 6, 6)),
    ]
    assert prompt.token_ids == (1, *[image] * 9, 2, *[image] * 9)
    assert prompt.num_visual_tokens == 18
