"""The tiny checkpoint must be able to fail an equality test: its answers wander, and depend on the pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.tiny_checkpoint import hf_generate, make_tiny_glm4v, random_pages

SIZES = [(224, 112), (140, 196)]  # px


def test_its_answers_wander_and_depend_on_the_pages(folder: Path) -> None:
    answers = [
        hf_generate(folder, random_pages(SIZES, seed=1), "What is it?"),
        hf_generate(folder, random_pages(SIZES, seed=2), "What is it?"),
        hf_generate(folder, random_pages(SIZES[::-1], seed=1), "What is it?"),
        hf_generate(folder, random_pages(SIZES, seed=1), "Who is it?"),
    ]
    assert all(len(answer) == 32 and len(set(answer)) >= 8 for answer in answers)
    assert len(set(map(tuple, answers))) == len(answers)


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_a_seed_names_the_weights(folder: Path, tmp_path: Path, seed: int, same: bool) -> None:
    weights = [load_file(path / "model.safetensors") for path in (folder, make_tiny_glm4v(tmp_path, seed))]
    name = "model.language_model.layers.1.mlp.down_proj.weight"
    assert weights[0][name].equal(weights[1][name]) == same
