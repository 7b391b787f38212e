"""A part reads, and downloads, the files that hold its weights, and no others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of
from glyph_core.model.shards import INDEX, stored_weights
from glyph_core.model.transformers_family import TransformersFamily
from tests.tiny_families import ALL_FAMILIES, make_tiny

CPU = torch.device("cpu")
REVISION = "0123abc"


@pytest.fixture(scope="module", params=ALL_FAMILIES)
def sharded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every weight in a file of its own, nearly: small shards."""
    folder = make_tiny(tmp_path_factory.mktemp(request.param), request.param)
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, architecture).from_pretrained(folder, dtype=torch.float32)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 5
    return folder


def adapter(folder: Path | str) -> TransformersFamily:
    family = family_of(resolve_checkpoint(str(folder)))
    assert isinstance(family, TransformersFamily)
    return family


@pytest.mark.parametrize("part", ["text", "vision"])
@pytest.mark.parametrize("kernels", ["auto", "transformers"])
def test_a_part_does_without_the_other_parts_files(sharded: Path, tmp_path: Path, part: str, kernels: str) -> None:
    family = adapter(sharded)
    keeps = family.keeps("text" if part == "text" else "vision")
    needed = {file for name, file in json.loads((sharded / INDEX).read_text())["weight_map"].items() if keeps(name)}
    for file in sharded.iterdir():
        if file.suffix != ".safetensors" or file.name in needed:
            shutil.copy(file, tmp_path)
    assert len(needed) < len(list(sharded.glob("*.safetensors")))
    load, other = ("load_text", "load_vision") if part == "text" else ("load_vision", "load_text")
    getattr(adapter(tmp_path), load)(torch.float32, CPU, kernels=kernels)
    with pytest.raises(ModelError):
        getattr(adapter(tmp_path), other)(torch.float32, CPU, kernels=kernels)


def test_parts_share_nothing_and_leave_nothing_out(sharded: Path) -> None:
    family = adapter(sharded)
    names = json.loads((sharded / INDEX).read_text())["weight_map"]
    text, vision = ({name for name in names if family.keeps(part)(name)} for part in ("text", "vision"))
    assert text | vision == set(names)
    assert {name for name in text & vision if "image_newline" not in name} == set()


class FakeHub:
    """``huggingface_hub.snapshot_download`` over a folder."""

    def __init__(self, repository: Path, cache: Path) -> None:
        self.repository, self.cache = repository, cache / "snapshots" / REVISION

    def snapshot_download(self, repo_id: str, *, allow_patterns: Sequence[str], revision: str | None) -> str:
        assert repo_id == "owner/name"
        assert revision in (None, REVISION)
        self.cache.mkdir(parents=True, exist_ok=True)
        for file in self.repository.iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, self.cache)
        return str(self.cache)

    def weight_files(self) -> set[str]:
        return {file.name for file in self.cache.glob("*.safetensors")}


@pytest.fixture
def hub(sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = FakeHub(sharded, tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    return hub


def test_a_hub_ids_weights_come_with_the_part_that_needs_them(hub: FakeHub) -> None:
    family = adapter("owner/name")
    family.grid_thw(100, 100)
    assert hub.weight_files() == set(), "neither the gateway nor the renderer needs any"
    family.load_vision(torch.float32, CPU)
    of_vision = hub.weight_files()
    assert of_vision
    weights = {name for file in of_vision for name in load_file(hub.cache / file)}
    assert {name for name in weights if not family.keeps("vision")(name)} < weights
    family.load_text(torch.float32, CPU)
    assert hub.weight_files() == {file.name for file in hub.repository.glob("*.safetensors")}


def test_what_is_there_is_not_asked_for_again(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    family = adapter("owner/name")
    family.fetch("vision")

    def fails(*_: object, **__: object) -> str:
        raise OSError("there is no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
    family.fetch("vision")
    with pytest.raises(ModelError, match=r"'owner/name' could not be fetched from the hub \(there is no network\)"):
        family.fetch("text")


def test_headers_say_what_the_files_hold(sharded: Path) -> None:
    files = [file.name for file in sharded.glob("*.safetensors")]
    expected = {name: weight for file in files for name, weight in load_file(sharded / file).items()}
    stored = {weight.name: weight for weight in stored_weights(sharded, files)}
    assert stored.keys() == expected.keys()
    for name, weight in expected.items():
        assert (stored[name].num_numbers, stored[name].num_bytes) == (weight.numel(), weight.nbytes)
        assert stored[name].dtype == "F32"


@pytest.mark.parametrize("damage", ["truncated", "empty", "absent", "no header"])
def test_a_damaged_file_is_named(sharded: Path, tmp_path: Path, damage: str) -> None:
    original = min(sharded.glob("*.safetensors"))
    content = {"truncated": original.read_bytes()[:-1], "empty": b"", "no header": b"\xff" * 64}
    if damage in content:
        (tmp_path / original.name).write_bytes(content[damage])
    with pytest.raises(ModelError, match=original.name):
        stored_weights(tmp_path, [original.name])
