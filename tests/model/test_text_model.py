"""The language model behind our paged attention equals transformers' whole model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import Glm4vForConditionalGeneration

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import Family, TextModel, family_of, place_pages
from glyph_core.types import PagePlan, Prompt
from tests.tiny_checkpoint import SPECIAL_IDS, hf_inputs, make_tiny_glm4v, question_about, random_pages

CPU = torch.device("cpu")
SIZES = [(224, 112), (140, 196), (100, 333), (28, 28)]  # px; the last two are resized


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_glm4v(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def family(folder: Path) -> Family:
    return family_of(resolve_checkpoint(str(folder)))


@pytest.fixture(scope="module")
def text(family: Family) -> TextModel:
    return family.load_text(torch.float32, CPU)


class ListAttention:
    """Attention over sequences of one step whose keys and values are kept in plain lists.

    The step's tokens are ``lengths[i]`` of sequence i, one after the other.
    """

    def __init__(self, num_sequences: int, num_layers: int) -> None:
        self.cache = [[None] * num_layers for _ in range(num_sequences)]
        self.lengths: list[int] = []

    def __call__(self, layer_idx, q, k, v, scale):  # type: ignore[no-untyped-def]
        outputs = []
        parts = zip(self.cache, *(x.split(self.lengths, dim=1) for x in (q, k, v)), strict=True)
        for cached, q_i, k_i, v_i in parts:
            old = cached[layer_idx]
            k_all, v_all = (k_i, v_i) if old is None else (torch.cat([old[0], k_i], 1), torch.cat([old[1], v_i], 1))
            cached[layer_idx] = k_all, v_all
            mask = torch.ones(q_i.shape[1], k_all.shape[1], dtype=torch.bool).tril(k_all.shape[1] - q_i.shape[1])
            attended = F.scaled_dot_product_attention(
                q_i[None], k_all[None], v_all[None], attn_mask=mask, scale=scale, enable_gqa=True
            )
            outputs.append(attended[0])
        return torch.cat(outputs, 1).transpose(0, 1)


def prompt_of(family: Family, inputs: dict[str, torch.Tensor], sizes: list[tuple[int, int]]) -> Prompt:
    """The prompt with transformers' token ids, each run of placeholders taken back to one."""
    ids = inputs["input_ids"][0].tolist()
    image = SPECIAL_IDS["<|image|>"]
    short = [token for i, token in enumerate(ids) if token != image or ids[i - 1] != image]
    plans = [PagePlan(i, width, height, f"page-{i}") for i, (width, height) in enumerate(sizes)]
    return place_pages(family, short, plans)


def embedded(family: Family, text: TextModel, prompt: Prompt, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """(T, H): token embeddings with the pages' features in their places."""
    vision = family.load_vision(torch.float32, CPU)
    features = vision.encode(inputs["pixel_values"], inputs["image_grid_thw"])
    rows = text.embed(torch.tensor(prompt.token_ids)).clone()
    for page, feature in zip(prompt.pages, features, strict=True):
        rows[page.start : page.stop] = feature
    return rows


def test_chunked_and_batched_forward_equals_the_full_model(folder: Path, family: Family, text: TextModel) -> None:
    full = Glm4vForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    expected, rows, positions = [], [], []
    for order, question in ((SIZES, "What is it?"), (SIZES[::-1], "Who signed, and when?")):
        inputs = hf_inputs(folder, random_pages(order, seed=len(question)), question_about(len(order), question))
        with torch.no_grad():
            expected.append(full(**inputs).logits[0])
        prompt = prompt_of(family, inputs, order)
        assert list(prompt.token_ids) == inputs["input_ids"][0].tolist()
        rows.append(embedded(family, text, prompt, inputs))
        positions.append(text.positions(prompt)[0])
    attention = ListAttention(len(rows), text.num_layers)
    done, got = [0, 0], [[], []]
    for lengths in ((7, 1), (60, 33), (1, 90), (10_000, 5), (0, 10_000)):  # uneven, and one sequence ends first
        spans = [
            slice(start, min(start + n, len(all_rows))) for start, n, all_rows in zip(done, lengths, rows, strict=True)
        ]
        attention.lengths = [span.stop - span.start for span in spans]
        hidden = text.forward(
            torch.cat([all_rows[span] for all_rows, span in zip(rows, spans, strict=True)]),
            torch.cat([all_positions[:, span] for all_positions, span in zip(positions, spans, strict=True)], dim=1),
            attention,
        )
        for i, piece in enumerate(text.logits(hidden).split(attention.lengths)):
            got[i].append(piece)
            done[i] = spans[i].stop
    for pieces, reference in zip(got, expected, strict=True):
        assert (torch.cat(pieces) - reference).abs().max().item() < 1e-4
