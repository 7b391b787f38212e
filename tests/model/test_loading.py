"""One part of a checkpoint at a time: all of it, bit for bit, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Glm4vConfig, Glm4vForConditionalGeneration

from glyph_core.errors import ConfigError, ModelError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of
from glyph_core.model.glm4v import Glm4vFamily
from glyph_core.model.loading import is_fused, load_part, pick_device, pick_dtype, pick_vision_dtype
from glyph_core.model.transformers_family import TEXT_PARTS
from tests.tiny_checkpoint import make_tiny_glm4v

CPU = torch.device("cpu")
PARTS = {"text": Glm4vFamily.vision_parts, "vision": TEXT_PARTS}  # what each leaves out
EDGE = "model.visual.merger.proj.weight", "model.language_model.layers.1.self_attn.q_proj.bias"


def load(path: Path, part: str, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    model: torch.nn.Module = load_part(
        Glm4vForConditionalGeneration, path, dropped=PARTS[part], dtype=dtype, device=CPU, attention="sdpa"
    )
    return model


def is_of(part: str, name: str) -> bool:
    return name.startswith("model.visual.") == (part == "vision")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint to damage."""
    return shutil.copytree(folder, tmp_path / "copy")


def edit_weights(path: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(path / "model.safetensors")
    edit(weights)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_whole_and_alone(folder: Path, part: str) -> None:
    on_disk = {k: w for k, w in load_file(folder / "model.safetensors").items() if is_of(part, k)}
    loaded = load(folder, part).state_dict()
    assert loaded.keys() == on_disk.keys()
    assert all(torch.equal(loaded[name], weight) for name, weight in on_disk.items())


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_ready_to_answer(folder: Path, part: str) -> None:
    model = load(folder, part)
    assert type(model).__name__ == "Glm4vForConditionalGeneration"  # transformers' key conversions go by name
    assert not model.training
    assert not any(weight.requires_grad or weight.is_meta for weight in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())


def test_rotary_frequencies_stay_exact_in_half_precision(folder: Path) -> None:
    exact = dict(load(folder, "text").named_buffers())
    for name, buffer in load(folder, "text", torch.bfloat16).named_buffers():
        assert buffer.dtype == torch.float32
        assert torch.equal(buffer, exact[name])


@pytest.mark.parametrize("part", PARTS)
def test_bfloat16_on_disk_is_float32_in_memory(tmp_path: Path, part: str) -> None:
    path = make_tiny_glm4v(tmp_path, dtype="bfloat16")
    on_disk = load_file(path / "model.safetensors")
    for name, weight in load(path, part).state_dict().items():
        assert on_disk[name].dtype == torch.bfloat16
        assert torch.equal(weight, on_disk[name].float())


def test_tied_embeddings_load(folder: Path, tmp_path: Path) -> None:
    config = Glm4vConfig.from_pretrained(folder)
    config.tie_word_embeddings = True
    Glm4vForConditionalGeneration(config).save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    text = load(tmp_path, "text")
    assert text.lm_head.weight is text.model.language_model.embed_tokens.weight
    assert all(is_of("vision", name) for name in load(tmp_path, "vision").state_dict())


@pytest.mark.parametrize("part", PARTS)
def test_shards_by_index(folder: Path, tmp_path: Path, part: str) -> None:
    whole = Glm4vForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    whole.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    expected = load(folder, part).state_dict()
    loaded = load(tmp_path, part).state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], weight) for name, weight in expected.items())


def test_a_missing_shard_is_named(folder: Path, tmp_path: Path) -> None:
    whole = Glm4vForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    whole.save_pretrained(tmp_path, max_shard_size="100KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    lost = index["weight_map"]["model.language_model.layers.0.mlp.down_proj.weight"]
    (tmp_path / lost).unlink()
    with pytest.raises(ModelError, match=lost):
        load(tmp_path, "text")


@pytest.mark.parametrize("name", EDGE)
def test_a_missing_weight_is_named_by_the_part_that_needs_it(copy: Path, name: str) -> None:
    edit_weights(copy, lambda weights: weights.pop(name))
    for part in PARTS:
        if is_of(part, name):
            with pytest.raises(ModelError, match=rf"lack {name}; get the checkpoint again"):
                load(copy, part)
        else:
            load(copy, part)


def test_many_missing_weights_are_counted(copy: Path) -> None:
    def drop_a_layer(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if ".layers.1." in name]:
            del weights[name]

    edit_weights(copy, drop_a_layer)
    with pytest.raises(
        ModelError, match=r"lack model\.language_model\.layers\.1\.input_layernorm\.weight, .* and 10 more"
    ):
        load(copy, "text")


def test_a_weight_of_a_wrong_shape_is_named(copy: Path) -> None:
    name = EDGE[0]
    edit_weights(copy, lambda weights: weights.update({name: weights[name][:-1].contiguous()}))
    with pytest.raises(ModelError, match=rf"wrong shape for {name}"):
        load(copy, "vision")


@pytest.mark.parametrize("damage", ["truncated", "empty", "absent"])
def test_damaged_weights_are_a_model_error(copy: Path, damage: str) -> None:
    file = copy / "model.safetensors"
    content = file.read_bytes()
    file.unlink()
    if damage != "absent":
        file.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(copy, "text")


def test_pickles_are_not_opened(copy: Path) -> None:
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(copy, "text")


def test_a_family_that_we_do_not_know(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(ModelError, match="of the model family 'llama'; we can run: glm4v"):
        family_of(resolve_checkpoint(str(copy)))


def test_a_configuration_that_transformers_refuses(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["hidden_size"] = "large"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"config\.json is no configuration that transformers knows"):
        family_of(resolve_checkpoint(str(copy))).load_text(torch.float32, CPU)


def test_the_language_model_is_fused_unless_told_otherwise() -> None:
    assert is_fused(weights="auto", kernels="auto")
    assert is_fused(weights="fp8", kernels="auto")
    assert not is_fused(weights="auto", kernels="transformers")
    with pytest.raises(ConfigError, match="fp8"):
        is_fused(weights="fp8", kernels="transformers")


def test_device_and_dtype_by_name() -> None:
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    assert pick_device("auto").type == auto
    assert pick_device("cpu") == CPU
    assert pick_dtype("auto", CPU) == torch.float32
    assert pick_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert pick_dtype("float16", CPU) == torch.float16
    for name in ("gpu", "cuda:x"):
        with pytest.raises(ModelError, match="no device"):
            pick_device(name)
    with pytest.raises(ModelError, match="the dtype 'int8'; use auto, float32"):
        pick_dtype("int8", CPU)


@pytest.mark.parametrize("has_units", [True, False])
def test_the_vision_tower_runs_in_bfloat16_where_that_is_fast(has_units: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_units})
    stored = replace(resolve_checkpoint("glyph-mini"), dtype="bfloat16")
    fast = torch.bfloat16 if has_units else torch.float32
    assert pick_vision_dtype("auto", CPU, stored) == fast
    assert pick_vision_dtype("auto", CPU, replace(stored, dtype="float32")) == torch.float32
    assert pick_vision_dtype("float32", CPU, stored) == torch.float32
    assert pick_vision_dtype("auto", torch.device("cuda"), stored) == torch.bfloat16


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="torch sees no CUDA device"):
        pick_device("cuda")
