"""What was written is read again, by another process too; what is damaged, half written or too much is not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glyph_core.errors import ConfigError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.vision.feature_store import FeatureStore, fingerprint

VALUES = np.arange(24, dtype=np.uint16).reshape(4, 6)


def fill(store: FeatureStore, *names: str) -> None:
    for name in names:
        store.write(name, VALUES, {"of": name})


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    fill(FeatureStore(tmp_path, 10**6), "page")
    again = FeatureStore(tmp_path, 10**6)
    assert "page" in again
    kept = again.read("page")
    assert kept is not None
    assert np.array_equal(kept[0], VALUES)
    assert (kept[0].dtype, kept[1]["of"]) == (VALUES.dtype, "page")
    assert again.read("other") is None


def test_those_used_longest_ago_go_first(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 10**6)
    fill(store, "a")
    size = store.num_bytes
    store.max_bytes = 3 * size
    fill(store, "b", "c")
    assert store.read("a") is not None
    fill(store, "d")
    assert [name in store for name in "abcd"] == [True, False, True, True]
    assert sorted(os.listdir(tmp_path)) == ["a", "c", "d"]
    os.utime(tmp_path / "a", (1, 1))
    assert [name in FeatureStore(tmp_path, 2 * size) for name in "acd"] == [False, True, True]


def test_a_damaged_file_is_told_and_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FeatureStore(tmp_path, 10**6)
    fill(store, "page")
    (tmp_path / "page").write_bytes(b"no features")
    assert store.read("page") is None
    assert "made again" in caplog.text
    fill(store, "page")
    assert store.read("page") is not None


def test_a_file_that_another_process_took_away_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FeatureStore(tmp_path, 10**6)
    fill(store, "page")
    (tmp_path / "page").unlink()
    assert store.read("page") is None
    assert (len(store), store.num_bytes, caplog.text) == (0, 0, "")


def test_what_a_killed_process_left_unfinished_goes(tmp_path: Path) -> None:
    (tmp_path / "page.0123.part").write_bytes(b"half")
    assert len(FeatureStore(tmp_path, 10**6)) == 0
    assert os.listdir(tmp_path) == []


def test_a_disk_that_takes_no_more_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FeatureStore(tmp_path / "gone", 10**6)
    (tmp_path / "gone").rmdir()
    fill(store, "page")
    assert "cannot be kept" in caplog.text
    assert "page" not in store


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be kept in"):
        FeatureStore(tmp_path / "file", 10**6)


def test_other_weights_and_other_precision_have_other_names(tmp_path: Path) -> None:
    checkpoint = replace(resolve_checkpoint("glyph-mini"), path=tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    names = {fingerprint(checkpoint, "float32"), fingerprint(checkpoint, "bfloat16")}
    (tmp_path / "model.safetensors").write_bytes(b"others, longer")
    names.add(fingerprint(checkpoint, "float32"))
    assert len(names) == 3
    assert fingerprint(checkpoint, "float32") in names
