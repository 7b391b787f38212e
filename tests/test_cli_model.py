"""``glyph model``: what it says of checkpoints, whole and damaged, and that it says it without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import transformers
from typer.testing import CliRunner

from deployments.cli import app
from deployments.cli_model import model_report
from glyph_core.errors import ModelError
from tests.tiny_checkpoint import SPECIAL_IDS
from tests.tiny_families import ALL_FAMILIES, make_tiny


@pytest.fixture(scope="module", params=ALL_FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    return make_tiny(tmp_path, "glm4v")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_whole_checkpoint_of_every_family(folder: Path) -> None:
    report = model_report(str(folder), 24)
    assert report["faults"] == []
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    num_weights = sum(weight.numel() for weight in model.parameters())
    assert sum(part["num_weights"] for part in report["parts"].values()) == num_weights
    if report["family"] != "llava_next":  # whose newline is stored once and taken by both halves
        assert sum(part["num_stored_weights"] for part in report["parts"].values()) == num_weights
    assert all(part["stored_dtypes"] == ["F32"] for part in report["parts"].values())
    assert report["page"]["num_visual_tokens"] > 0
    assert "24.0 GiB" in report["memory_plan"]
    assert CliRunner().invoke(app, ["model", "check", str(folder)]).exit_code == 0


def test_info_is_for_people_and_for_programs(folder: Path) -> None:
    told = CliRunner().invoke(app, ["model", "info", str(folder)])
    assert told.exit_code == 0
    assert [line.split(":")[0] for line in told.stdout.splitlines()] == [
        "model", "vision part", "text part", "text runs on", "a page", "context"
    ]  # fmt: skip
    as_json = CliRunner().invoke(app, ["model", "info", str(folder), "--json"])
    assert json.loads(as_json.stdout) == model_report(str(folder))


def test_it_imports_neither_torch_nor_ray() -> None:
    code = (
        "import sys; from deployments.cli_model import model_report; model_report('glyph-mini', 24.0); "
        "assert not {'torch', 'transformers', 'ray', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("fault", [
    "weights gone", "a layer more", "tokenizer gone", "template gone", "no place for a page", "question left out",
    "another placeholder", "small vocabulary", "end outside",
])  # fmt: skip
def test_what_does_not_fit_is_named(damaged: Path, fault: str) -> None:
    config = json.loads((damaged / "config.json").read_text())
    template = damaged / "chat_template.jinja"
    expected = {
        "weights gone": "the vision part's weights are missing: model.safetensors",
        "a layer more": "the text part has 1",
        "tokenizer gone": "tokenizer.json cannot be read",
        "template gone": "has no chat template",
        "no place for a page": "makes 0 places for one page",
        "question left out": "leaves the question out",
        "another placeholder": "has no token 287, which stands for a page",
        "small vocabulary": "has token ids up to 272, and the model's vocabulary ends at 269",
        "end outside": "tokens [999] are outside the vocabulary",
    }[fault]
    match fault:
        case "weights gone":
            (damaged / "model.safetensors").unlink()
        case "a layer more":
            edit(damaged / "config.json", text_config=config["text_config"] | {"num_hidden_layers": 3})
        case "tokenizer gone":
            (damaged / "tokenizer.json").unlink()
        case "template gone":
            template.unlink()
        case "no place for a page":
            template.write_text(template.read_text().replace("<|image|>", ""))
        case "question left out":
            template.write_text(template.read_text().replace("part.text", "''"))
        case "another placeholder":
            edit(damaged / "config.json", image_token_id=287)
        case "small vocabulary":
            edit(damaged / "config.json", text_config=config["text_config"] | {"vocab_size": 270})
        case "end outside":
            edit(damaged / "generation_config.json", eos_token_id=[SPECIAL_IDS["<|user|>"], 999])
    assert any(expected in told for told in model_report(str(damaged))["faults"])
    checked = CliRunner().invoke(app, ["model", "check", str(damaged), "--json"])
    assert checked.exit_code == 1
    assert json.loads(checked.stdout)["ok"] is False


def test_memory_that_does_not_do(damaged: Path) -> None:
    [fault] = model_report(str(damaged), 0.5)["faults"]
    assert "gpu_memory_gb=0.5 is too small" in fault


def test_fp8_where_it_does_not_run(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path, "llava")
    assert model_report(str(folder), 24, "fp8")["faults"] == []
    assert model_report(str(folder))["kernels"] == "fused"
    config = json.loads((folder / "config.json").read_text())
    edit(folder / "config.json", text_config=config["text_config"] | {"attention_bias": True})
    report = model_report(str(folder), 24, "fp8")
    assert report["faults"] == ["it does not run FP8 weights: attention_bias is set"]
    assert report["kernels"] == "transformers"
    [fault] = model_report(str(folder), 0.5)["faults"]
    assert "fp8" not in fault
    told = CliRunner().invoke(app, ["model", "info", str(folder)]).stdout
    assert "transformers' modules, which are slower: attention_bias is set" in " ".join(told.split())


def test_a_family_that_nobody_knows(damaged: Path) -> None:
    edit(damaged / "config.json", model_type="llama")
    with pytest.raises(ModelError, match="we can run: glm4v"):
        model_report(str(damaged))
    told = CliRunner().invoke(app, ["model", "check", str(damaged)])
    assert told.exit_code == 1
