"""The fused language model equals transformers' own; in FP8, up to what eight bits leave."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from glyph_core.errors import ConfigError, ModelError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import Family, TextModel, family_of
from glyph_core.model.fused_text import FusedTextModel
from glyph_core.model.layer_ops import LayerOps, TorchOps, TritonOps
from glyph_core.model.linear import DenseLinear, Fp8Linear, check_fp8
from glyph_core.model.loading import load_config
from glyph_core.model.text_style import GLM
from glyph_core.model.transformers_family import TransformersFamily
from glyph_core.model.transformers_text import TransformersTextModel
from glyph_core.model.weights import CheckpointWeights, RandomWeights
from glyph_core.types import PagePlacement, PagePlan, Prompt
from tests.model.list_attention import ListAttention
from tests.tiny_families import ALL_FAMILIES, make_tiny

CPU = torch.device("cpu")
NUM_TOKENS = 40


@pytest.fixture(scope="module", params=ALL_FAMILIES)
def any_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def any_family(any_folder: Path) -> TransformersFamily:
    family = family_of(resolve_checkpoint(str(any_folder)))
    assert isinstance(family, TransformersFamily)
    return family


def fused_of(family: TransformersFamily, dtype: torch.dtype, ops: LayerOps) -> FusedTextModel:
    folder, deepstack = family.checkpoint.path, family.num_deepstack
    weights = CheckpointWeights(folder, dtype, CPU)
    return FusedTextModel(load_config(folder), weights, ops, family.text_style, num_deepstack=deepstack)


def hidden_of(model: TextModel, num_tokens: int = NUM_TOKENS) -> torch.Tensor:
    """After chunks of which the last is one token; the others are as wide as features."""
    random = torch.Generator().manual_seed(1)
    embeds = model.embed(torch.randint(0, 250, (num_tokens,), generator=random))
    beside = torch.randn(num_tokens, model.feature_size - model.hidden_size, generator=random)
    positions = torch.randint(0, 50, (3, num_tokens), generator=random)
    attention = ListAttention(1, model.num_layers)
    chunks = []
    for start, stop in ((0, 7), (7, num_tokens - 1), (num_tokens - 1, num_tokens)):
        attention.lengths, given = [stop - start], embeds[start:stop].clone()
        if stop < num_tokens:
            given = torch.cat([given, beside[start:stop].to(given.dtype)], dim=1)
        chunks.append(model.forward(given, positions[:, start:stop], attention))
    return torch.cat(chunks)


def test_equals_transformers(any_family: TransformersFamily) -> None:
    family = any_family
    reference = family.load_text(torch.float32, CPU, kernels="transformers")
    fused = family.load_text(torch.float32, CPU, kernels="fused")
    assert isinstance(reference, TransformersTextModel)
    assert isinstance(fused, FusedTextModel)
    assert fused.is_static
    expected, got = hidden_of(reference), hidden_of(fused)
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(fused.logits(got), reference.logits(expected), atol=1e-4, rtol=1e-4)
    sizes = ("num_layers", "num_heads", "num_kv_heads", "head_dim", "hidden_size", "feature_size", "vocab_size")
    for name in (*sizes, "dtype"):
        assert getattr(fused, name) == getattr(reference, name)


@pytest.mark.parametrize(
    "any_folder", ["glm4v", "llava", pytest.param("qwen2_5_vl", marks=pytest.mark.slow), "qwen3_vl"], indirect=True
)
def test_equals_transformers_through_the_kernels(any_family: TransformersFamily) -> None:
    pytest.importorskip("triton", reason="the package triton is not installed")
    if torch.cuda.is_available():
        pytest.skip("Triton takes the CPU's tensors in its interpreter alone")
    fused = fused_of(any_family, torch.float32, TritonOps())
    expected = hidden_of(any_family.load_text(torch.float32, CPU, kernels="transformers"), 10)
    torch.testing.assert_close(hidden_of(fused, 10), expected, atol=2e-5, rtol=1e-4)


def test_positions_are_those_of_transformers(any_family: TransformersFamily) -> None:
    family, plan = any_family, PagePlan(0, 84, 56, "0" * 32)
    prompt = Prompt(
        token_ids=(5, *[family.placeholder_token_id] * 6, 9, 9),
        pages=(PagePlacement(page=plan, start=1, num_tokens=6, grid_thw=(1, 4, 6)),),
    )
    expected, delta = family.load_text(torch.float32, CPU, kernels="transformers").positions(prompt)
    got, got_delta = family.load_text(torch.float32, CPU, kernels="fused").positions(prompt)
    assert torch.equal(got, expected)
    assert got_delta == delta


def test_every_parameter_is_counted(any_folder: Path, any_family: TransformersFamily) -> None:
    stored = load_file(any_folder / "model.safetensors")
    keeps = any_family.keeps("text")
    text = sum(weight.numel() for name, weight in stored.items() if keeps(name) and "image_newline" not in name)
    assert fused_of(any_family, torch.bfloat16, TorchOps()).num_bytes == 2 * text
    assert any_family.shape().text.weight_bytes(2, is_fp8=False) == 2 * text


@pytest.mark.parametrize("prefix", ["model.", "language_model.model."])
def test_weights_under_older_names(prefix: str, folder: Path, family: Family, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    stored = load_file(folder / "model.safetensors")
    renamed = {name.replace("model.language_model.", prefix): weight for name, weight in stored.items()}
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    older = family_of(resolve_checkpoint(str(tmp_path))).load_text(torch.float32, CPU, kernels="fused")
    assert torch.equal(hidden_of(older), hidden_of(family.load_text(torch.float32, CPU, kernels="fused")))


def test_damaged_weights_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    stored = load_file(folder / "model.safetensors")
    name = "layers.1.mlp.down_proj.weight"
    removed = {key: weight for key, weight in stored.items() if not key.endswith(name)}
    for weights, message in (
        (removed, f"lack {name}"),
        (
            removed | {f"model.language_model.{name}": torch.zeros(3, 3)},
            rf"wrong shape for {name}.*\(3, 3\).*\(64, 128\)",
        ),
    ):
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match=message):
            family_of(resolve_checkpoint(str(tmp_path))).load_text(torch.float32, CPU, kernels="fused")
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="cannot be loaded"):
        family_of(resolve_checkpoint(str(tmp_path))).load_text(torch.float32, CPU, kernels="fused")


def test_fp8_weights_are_half_as_large_and_near(any_family: TransformersFamily) -> None:
    family = any_family
    exact = family.load_text(torch.float32, CPU, kernels="fused")
    quantized = family.load_text(torch.float32, CPU, weights="fp8")
    assert isinstance(quantized, FusedTextModel)
    assert quantized.num_bytes < exact.num_bytes * 0.55  # embeddings, lm_head and norms stay
    assert quantized.num_bytes == family.shape().text.weight_bytes(4, is_fp8=True)
    expected, got = hidden_of(exact), hidden_of(quantized)
    assert 0.001 < ((got - expected).norm() / expected.norm()).item() < 0.2 * exact.num_layers  # sharp ones of 64
    assert torch.equal(quantized.embed(torch.arange(9)), exact.embed(torch.arange(9)))


@pytest.mark.parametrize("num_rows", [1, 16, 17, 100])
def test_the_error_of_an_fp8_product(num_rows: int) -> None:
    """Relative rounding of 2^-4 at most, of weight and token: some 4 % of a product of random numbers, in each row."""
    random = torch.Generator().manual_seed(num_rows)
    weight, x = torch.randn(96, 512, generator=random), torch.randn(num_rows, 512, generator=random)
    weight *= torch.logspace(-3, 3, 96)[:, None]  # one scale for all rows would lose the small ones
    bias = torch.randn(96, generator=random)
    expected = DenseLinear(weight, bias)(x)
    ops = TritonOps() if num_rows == 16 and not torch.cuda.is_available() else TorchOps()
    quantized = Fp8Linear.quantize(weight, bias, TorchOps())
    got = Fp8Linear(quantized.weight, quantized.scale, bias, ops)(x)
    size = weight.norm(dim=1) * x.norm(dim=1)[:, None] / 512**0.5  # what a product of the two is like
    error = ((got - expected) / size).pow(2).mean(dim=0).sqrt()  # (96,)
    assert 0.01 < error.mean() < 0.06
    assert error.max() < 0.2


def test_fp8_on_other_devices_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    check_fp8(CPU)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an A100")
    for capability in ((8, 0), (12, 0)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        with pytest.raises(ModelError, match=rf"sm_89, sm_90, and an A100 is sm_{capability[0]}{capability[1]}.*auto"):
            check_fp8(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 9))
    check_fp8(torch.device("cuda"))
    with pytest.raises(ModelError, match="to run on mps"):
        check_fp8(torch.device("mps"))


def test_fp8_needs_our_parts(family: Family) -> None:
    with pytest.raises(ConfigError, match=r"set model\.kernels to auto"):
        family.load_text(torch.float32, CPU, weights="fp8", kernels="transformers")


def test_random_weights_are_numbers_of_a_like_size(folder: Path) -> None:
    fused = FusedTextModel(load_config(folder), RandomWeights(torch.float32, CPU), TorchOps(), GLM)
    logits = fused.logits(hidden_of(fused))
    assert 0.3 < logits.std() < 3
