"""The measurement of the seed's table itself works, on a tiny shape."""

from __future__ import annotations

import json
from pathlib import Path

from deployments.bench.seed_markdown import as_markdown
from deployments.bench.seed_table import main


def test_a_tiny_table(tmp_path: Path) -> None:
    main(
        [
            "--shape", "glyph_tiny", "--device", "cpu", "--gpu-memory-gb", "2.0", "--lengths", "600", "--raw-lengths",
            "200", "--other-presets", "compact", "--other-lengths", "300", "--num-answer-tokens", "3", "--out",
            f"{tmp_path / 'table.json'}",
        ]
    )  # fmt: skip
    report = json.loads((tmp_path / "table.json").read_text())
    first, compact = report["rows"]
    assert (first["text_tokens"], first["preset"], compact["preset"]) == (600, "glyph-en", "compact")
    assert first["second_cached_tokens"] > 0.9 * first["visual_tokens"]
    assert first["compression"] > compact["compression"] > 1
    assert all(first[name] > 0 for name in ("render_ms", "encode_ms", "prefill_ms", "ttft_ms", "tokens_s", "answer_s"))
    assert report["raw_text"][0]["tokens"] == 200
    assert "| glyph-en | 600 | 1 |" in (tmp_path / "table.md").read_text()


def test_the_article_stands_beside_ours_and_an_error_in_its_place() -> None:
    row = dict.fromkeys(("pages", "visual_tokens", "compression", "render_ms", "encode_ms", "prefill_ms"), 1)
    row |= dict.fromkeys(("ttft_ms", "tokens_s", "answer_s", "second_ttft_ms", "second_answer_s"), 2)
    rows = [
        row | {"text_tokens": 4096, "preset": "glyph-en", "peak_reserved": 15e9},
        row | {"text_tokens": 4096, "preset": "readable"},
        {"text_tokens": 65536, "preset": "glyph-en", "error": "OutOfMemoryError: it is full"},
    ]
    text = as_markdown({"rows": rows, "raw_text": [{"error": "no"}]})
    assert "| 1 (120) | 1 (85) | 1 | 2 | 2.0 (48.0) | 2.00 (1.8) | 2 | 2.00 | 15.00 |" in text
    assert "| readable | 4,096 | 1 | 1 | 1.00× | 1 | 1 | 1 | 2 | 2.0 | 2.00 | 2 | 2.00 | - |" in text
    assert "| glyph-en | 65,536 | OutOfMemoryError: it is full |" in text
