"""The fused language model beside transformers' modules: the measurement ends on any machine."""

from __future__ import annotations

import json
from pathlib import Path

from deployments.bench.fused_run import main


def test_both_are_measured_with_the_same_weights(tmp_path: Path) -> None:
    out = tmp_path / "fused.json"
    main(["--shape", "glyph_tiny", "--dtype", "float32", "--batch", "1", "2", "--context", "40", "--json", str(out)])
    report = json.loads(out.read_text())
    for way in ("transformers", "fused"):
        assert [row["sequences"] for row in report[way]["decode"]] == [1, 2]
        assert all(row["tokens_s"] > 0 for row in report[way]["decode"])
        assert report[way]["prefill_s"] > 0
        assert report[way]["relative_error"] < 1e-5
        assert report[way]["same_token"] == 1
