"""What a checkpoint's small files say, and plain messages where they don't."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from glyph_core.config import PRESETS
from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import BUILT_IN, Checkpoint, resolve_checkpoint


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The least that makes a checkpoint, under the name ``reader``."""
    folder = tmp_path / "reader"
    folder.mkdir()
    write(folder, "config.json", {"model_type": "glm4v", "text_config": {"max_position_embeddings": 64}})
    write(folder, "generation_config.json", {"eos_token_id": [7, 8]})
    return folder


def test_glyph_mini() -> None:
    checkpoint = resolve_checkpoint("glyph-mini")
    assert checkpoint.reads is not None
    assert checkpoint.reads.max_pages == 401
    assert checkpoint.calibration is not None
    assert (checkpoint.about or "").startswith("is a demonstration model")
    assert replace(checkpoint, reads=None, calibration=None, about=None) == Checkpoint(
        path=BUILT_IN["glyph-mini"], name="glyph-mini", family="glm4v", preset="mini", max_model_len=8192,
        eos_token_ids=(262, 259), window_pages=4, absent_answer="not stated",
        dtype="bfloat16",
    )  # fmt: skip


def test_a_folder(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = resolve_checkpoint(str(bare))
    assert checkpoint == Checkpoint(
        path=bare, name="reader", family="glm4v", preset="glyph-en", max_model_len=64, eos_token_ids=(7, 8)
    )
    monkeypatch.chdir(bare)
    assert resolve_checkpoint(".").name == "reader"


def test_a_checkpoint_travels(bare: Path) -> None:
    checkpoint = resolve_checkpoint(str(bare))
    assert pickle.loads(pickle.dumps(checkpoint)) == checkpoint


def test_the_end_of_sequence_is_generates(bare: Path) -> None:
    write(bare, "generation_config.json", {"eos_token_id": 9})
    assert resolve_checkpoint(str(bare)).eos_token_ids == (9,)
    (bare / "generation_config.json").unlink()
    with pytest.raises(ModelError, match=r"neither generation_config\.json nor config\.json names an eos_token_id"):
        resolve_checkpoint(str(bare))
    write(bare, "config.json", {"model_type": "glm4v", "max_position_embeddings": 64, "eos_token_id": [3, 4]})
    assert resolve_checkpoint(str(bare)).eos_token_ids == (3, 4)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_render_preset_is_the_checkpoints_own(bare: Path, preset: str) -> None:
    write(bare, "glyph_config.json", {"render_preset": preset, "window_pages": 2})
    checkpoint = resolve_checkpoint(str(bare))
    assert (checkpoint.preset, checkpoint.window_pages, checkpoint.absent_answer) == (preset, 2, None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, r"is no checkpoint: it has no config\.json"),
        ("config.json", b"{", r"config\.json cannot be read: "),
        ("config.json", b"\xff\xfe", r"config\.json cannot be read: "),
        ("config.json", b"[]", r"config\.json holds no JSON object"),
        ("config.json", b'{"max_position_embeddings": 1}', r"config\.json lacks the key 'model_type'"),
        ("config.json", b'{"model_type": "glm4v"}', r"config\.json lacks the key 'max_position_embeddings'"),
        (
            "glyph_config.json",
            b'{"render_preset": "nano"}',
            r"names the render preset 'nano'; there are: mini, glyph-en",
        ),
        ("glyph_config.json", b'{"preset": "mini"}', r"glyph_config\.json is at fault: preset: Extra inputs"),
        ("glyph_config.json", b'{"window_pages": 0}', r"glyph_config\.json is at fault: window_pages: Input"),
    ],
)
def test_a_damaged_checkpoint_says_what_is_wrong(bare: Path, name: str, content: bytes | None, message: str) -> None:
    (bare / name).unlink(missing_ok=True)
    if content is not None:
        (bare / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        resolve_checkpoint(str(bare))


@pytest.mark.parametrize("model", ["glyph-mnii", "/no/such/folder", "a/b/c", "../x", "owner/", "a b/c", ""])
def test_no_such_model(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a name may be a folder that lies beside the working directory
    with pytest.raises(ModelError, match=r"there is no model .* none of glyph-mini"):
        resolve_checkpoint(model)


def test_a_hub_id_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"'zai-org/Glyph' could not be fetched from the hub .* check the name"
    ) as raised:
        resolve_checkpoint("zai-org/Glyph")
    assert "\n" not in raised.value.message


def test_a_hub_id_is_served_under_its_name(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def snapshot_download(repo_id: str, *, allow_patterns: list[str], revision: str | None) -> str:
        asked[repo_id] = allow_patterns
        return str(bare)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    checkpoint = resolve_checkpoint("zai-org/Glyph")
    assert (checkpoint.name, checkpoint.path) == ("zai-org/Glyph", bare)
    assert asked == {"zai-org/Glyph": ["*.json", "*.jinja"]}, "weights are got by those who load them"


def test_gateways_and_renderers_import_no_torch(folder: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.token_counter import TokenCounter
import glyph_core.model.family
checkpoint = resolve_checkpoint({str(folder)!r})
TokenCounter.from_checkpoint(checkpoint.path).count("text")
heavy = [name for name in ("torch", "transformers", "ray") if name in sys.modules]
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr


def test_the_shipped_folder_is_complete() -> None:
    names = {path.name for path in BUILT_IN["glyph-mini"].iterdir()}
    assert names >= {
        "config.json", "generation_config.json", "processor_config.json", "glyph_config.json", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja", "model.safetensors",
    }  # fmt: skip


def test_a_home_folder(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(bare.parent))
    shutil.copytree(bare, bare.parent / "other")
    assert resolve_checkpoint("~/other").name == "other"
