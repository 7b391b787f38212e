"""The engine's measurement ends on any machine and names what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from deployments.bench.engine import CONFIGS
from deployments.bench.gpu import main
from deployments.bench.synthetic import num_blocks_for, synthetic_sequences
from deployments.bench.vision import vision_flops
from glyph_core.model.shape import ModelShape


def test_synthetic_sequences_fit_their_blocks() -> None:
    sequences = synthetic_sequences(3, 100, 16, 10, shared_tokens=64)
    tables = [sequence.block_table for sequence in sequences]
    assert all(table[:4] == [0, 1, 2, 3] and len(table) == 7 for table in tables)
    own = [block for table in tables for block in table[4:]]
    assert len(set(own)) == 9
    assert max(own) + 1 == num_blocks_for(3, 100, 16, 10, 64)


def test_operations_of_a_page() -> None:
    """A layer by hand: 2 × 2520 × (4 × 1536² + 3 × 1536 × 4096) and 4 × 2520² × 1536; 24 of them."""
    shape = ModelShape.of(json.loads((CONFIGS / "glyph_9b.json").read_text())).vision
    layers = 24 * (2 * 2520 * (4 * 1536**2 + 3 * 1536 * 4096) + 4 * 2520**2 * 1536)
    assert layers < vision_flops(shape, 2520) < 1.2 * layers


@pytest.mark.slow
def test_the_tiny_measurement(tmp_path: Path) -> None:
    num_threads = torch.get_num_threads()
    main(["--tiny", "--device", "cpu", "--out", str(tmp_path)])
    torch.set_num_threads(num_threads)
    report = json.loads((tmp_path / "engine.json").read_text())
    for weights in ("float32", "fp8"):
        assert all(case["tokens_s"] > 0 for case in report[weights]["decode"])
        assert all(case["of_matmul"] > 0 for case in report[weights]["prefill"])
    by_weights = {way["weights"]: way for way in report["accuracy"]["ways"]}
    assert by_weights["auto"]["relative_error"] < 1e-5
    assert by_weights["auto"]["same_token"] == 1
    assert 0.001 < by_weights["fp8"]["relative_error"] < 0.5
    assert report["transformers"][0]["tokens_s"] > 0
    assert sorted({row["way"] for row in report["vision"]["speed"]}, key=len) == ["ours", "ours fp8", "transformers"]
    assert all(row["page_ms"] > 0 for row in report["vision"]["speed"])
    errors = {(row["way"], row["dtype"]): row["relative_error"] for row in report["vision"]["accuracy"]}
    assert errors["ours", "float32"] < 1e-5
    [row] = json.loads((tmp_path / "seed_table.json").read_text())["rows"]
    assert row["answer_s"] > row["ttft_ms"] / 1e3 > 0
    assert "error" not in (tmp_path / "engine.md").read_text().replace("relative_error", "")
