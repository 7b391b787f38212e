"""``glyph bench render``: what is compared, and that the yardsticks do what they stand for. No assertion on time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from deployments.bench import render, texts
from deployments.bench.seed_article import render_text_to_image
from deployments.bench.table import TableRow, table_lines
from deployments.bench.timing import Contender, cpu_in_turns
from deployments.cli import app

RATIOS = ("ratio_vs_seed", "ratio_vs_official", "ratio_vs_official_png", "ratio_vs_memcpy")
needs_official = pytest.mark.skipif(render.official_missing() is not None, reason=str(render.official_missing()))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(texts, "NUM_CHARS", {"english": 9_000, "chinese": 6_000})
    monkeypatch.setattr(texts, "BOOKS", tmp_path / "none")


def test_made_up_texts_are_the_same_every_time_and_of_their_length(short: None) -> None:
    first, again = texts.bench_texts([]), texts.bench_texts([])
    assert first == again
    assert {language: len(text.text) for language, text in first.items()} == texts.NUM_CHARS
    assert first["english"].text.isascii()
    assert not first["chinese"].text.isascii()


def test_a_file_takes_the_place_of_its_language(short: None, tmp_path: Path) -> None:
    (tmp_path / "roman.txt").write_text("第一回 宴桃园豪杰三结义\n" * 10, encoding="utf-8")
    chosen = texts.bench_texts([tmp_path / "roman.txt"])
    assert chosen["chinese"].text.startswith("第一回 宴桃园豪杰三结义\n第一回")
    assert len(chosen["chinese"].text) == 6_000
    assert chosen["chinese"].origin == "roman.txt, 47 times"
    assert chosen["english"].origin == "made up"


def test_json_holds_both_languages(short: None) -> None:
    result = CliRunner().invoke(app, ["bench", "render", "--rounds", "1", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    for language in ("english", "chinese"):
        of = report[language]
        assert of["chars"] == texts.NUM_CHARS[language]
        assert of["pages"] >= 1
        assert of["seed_ms"] / of["ours_ms"] == of["ratio_vs_seed"]
        if of["official_missing"] is None:
            assert abs(of["official_pages"] - of["pages"]) <= 1  # the same pages, nearly
            assert all(of[ratio] > 0 for ratio in RATIOS)
    assert report["versions"]["pillow"]


def test_without_poppler_the_official_pipeline_is_left_out_and_the_reason_told(
    short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render.shutil, "which", lambda name: None)
    result = CliRunner().invoke(app, ["bench", "render", "--rounds", "1", "--json"])
    of = json.loads(result.stdout)["english"]
    assert (of["official_ms"], of["ratio_vs_official"], of["ratio_vs_official_png"]) == (None, None, None)
    assert "not installed" in of["official_missing"]
    assert of["ratio_vs_seed"] > 0
    assert "not installed" in result.stderr


def test_ours_draws_what_the_renderer_draws(short: None) -> None:
    ours = render.OurWay(texts.bench_texts([])["english"])
    first = [pixels.copy() for pixels in ours.arrays()]
    assert len(first) == ours.num_pages
    assert all(np.shares_memory(pixels, ours.memory) for pixels in ours.arrays())
    assert all(pixels.min() < 128 for pixels in first)


def test_the_seed_s_lines_are_as_wide_and_high_as_the_article_has_them() -> None:
    image = render_text_to_image("word " * 100 + "\n\nend")
    assert (image.mode, image.width) == ("RGB", 1024)
    assert (image.height - 20) % 21 == 0
    ink = np.asarray(image.convert("L")) < 128
    assert ink.any(axis=1)[10:31].any()
    assert not ink[:, :10].any()


@needs_official
def test_the_official_pages_are_cropped_as_that_pipeline_crops_them(tmp_path: Path) -> None:
    from deployments.bench.official_glyph import text_to_images

    files = text_to_images("Some words in a line that ends early.\n" * 100, tmp_path)
    sizes = [Image.open(file).size for file in files]
    assert len(sizes) == 2
    assert sizes[0][1] == 842
    assert sizes[0][0] < 300
    assert sizes[1][1] < 300


def test_in_each_turn_everyone_runs_one_of_his_pieces() -> None:
    runs: list[str] = []
    whole = Contender("whole", [lambda: runs.append("whole")])
    cut = Contender("cut", [lambda piece=piece: runs.append(piece) for piece in "abc"])
    spent = cpu_in_turns([whole, cut], 2, str)
    assert runs == ["whole", "a", "whole", "b", "whole", "c"] * 2
    assert set(spent) == {"whole", "cut"}


def test_work_of_children_counts_and_pieces_add_up() -> None:
    burn = [sys.executable, "-c", "while __import__('time').process_time() < 0.2: pass"]
    spent = cpu_in_turns([Contender("child", [lambda: subprocess.run(burn, check=True)] * 2)], 1, str)
    assert spent["child"] >= 0.4


def test_the_table_is_markdown() -> None:
    preset = {"preset": "glyph-en", "render_ms": 1.25, "pages": 4, "num_visual_tokens": 2520, "compression_ratio": 1.6}
    row = TableRow(4096, 16384, 88.0, 120, ()).__class__(4096, 16384, 88.0, 120, (preset,) * 3)  # type: ignore[arg-type]
    lines = table_lines({"rows": [{f: getattr(row, f) for f in TableRow.__slots__}]}).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| 4,096 | 1.2 | 4 | 2,520 | 1.60× |")
