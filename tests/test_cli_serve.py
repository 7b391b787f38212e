"""What ``glyph serve`` is told by options and files, and what it refuses before it starts anything."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

from deployments.cli import app
from deployments.cli_serve import check_access, endpoint_settings, stay_until_stopped
from deployments.endpoint import Endpoint, EndpointSettings
from deployments.settings_check import tracing_config
from glyph_core.config import ModelConfig
from glyph_core.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[1]


def settings_of(config: Path | None = None, **options: Any) -> EndpointSettings:
    return endpoint_settings(config, **options)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_without_options_it_listens_on_loopback_only() -> None:
    settings = settings_of()
    assert (settings.host, settings.port, settings.app) == ("127.0.0.1", 7860, {})


def test_the_model_option_goes_before_the_files_model(tmp_path: Path) -> None:
    config = write(tmp_path, "model: {model: in-file, dtype: float32}\nengine: {max_num_seqs: 4}\n")
    assert settings_of(config).app["model"] == {"model": "in-file", "dtype": "float32"}
    settings = settings_of(config, model="other")
    assert settings.app == {"model": {"model": "other", "dtype": "float32"}, "engine": {"max_num_seqs": 4}}


def test_a_section_that_is_left_empty_is_not_there(tmp_path: Path) -> None:
    config = write(tmp_path, "model:\naccess:\nengine: {max_num_seqs: 4}\n")
    assert settings_of(config).app == {"engine": {"max_num_seqs": 4}}
    settings = settings_of(config, model="other", allow_unauthenticated=True, store="s3://a")
    assert (settings.app["model"], settings.app["access"]) == ({"model": "other"}, {"allow_unauthenticated": True})


def test_what_the_model_takes_of_a_gpu() -> None:
    assert settings_of(weights="fp8", gpu_memory_gb=24.0).app == {"model": {"weights": "fp8", "gpu_memory_gb": 24.0}}
    for option, dtype in (("bf16", "bfloat16"), ("fp16", "float16")):
        model = settings_of(weights=option).app["model"]
        assert ModelConfig.model_validate(model) == ModelConfig(dtype=dtype, weights="auto")


SERVE_FILE = """
http_options: {host: 0.0.0.0, port: 8000}
applications:
- name: glyph
  route_prefix: /
  import_path: deployments.app:build_app
  args: {model: {model: some}}
"""


def test_a_file_for_serve_deploy_gives_the_same_app(tmp_path: Path) -> None:
    settings = settings_of(write(tmp_path, SERVE_FILE), port=8001)
    assert (settings.host, settings.port, settings.app) == ("0.0.0.0", 8001, {"model": {"model": "some"}})


def test_the_repositorys_own_file_is_understood() -> None:
    assert settings_of(REPOSITORY / "serve_config.yaml").app


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("grpc_options: {port: 9000}\n" + SERVE_FILE.lstrip(), "'grpc_options'"),
        (SERVE_FILE + "  deployments: [{name: Encoder, num_replicas: 2}]\n", "'deployments'"),
        (SERVE_FILE.replace("deployments.app:build_app", "other:app"), "import_path is deployments.app:build_app"),
        (SERVE_FILE.replace("port: 8000", "prot: 8000"), "prot"),
        ("- a list\n", "no mapping"),
        ("model: zai-org/Glyph\n", "model in the configuration file must be a mapping"),
        ("access: [key]\n", "access in the configuration file must be a mapping"),
        (SERVE_FILE.replace("{host: 0.0.0.0, port: 8000}", "8000"), "http_options in the configuration file"),
        (SERVE_FILE.replace("{model: {model: some}}", "some"), "args in the configuration file"),
        ("applications: {glyph: 1}\n", "import_path is deployments.app:build_app"),
        ("a: [1\n", "YAML"),
    ],
)
def test_what_it_would_not_honour_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    result = CliRunner().invoke(app, ["serve", "--config", str(write(tmp_path, text))])
    assert result.exit_code in (1, 2)
    assert says in result.stderr
    assert result.stdout == ""


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        settings_of(tmp_path / "nowhere.yaml")


def test_a_port_in_use_ends_it_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "--port", port])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"127.0.0.1 port {port}" in result.stderr


def test_other_machines_are_let_in_with_a_key_or_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLYPH_API_KEYS", raising=False)
    result = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0", "--port", "7999"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "GLYPH_API_KEYS" in result.stderr
    assert "--allow-unauthenticated" in result.stderr
    check_access(settings_of(host="0.0.0.0", allow_unauthenticated=True))
    check_access(settings_of(host="127.0.0.1"))
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef\n")
    check_access(settings_of(host="0.0.0.0", keys_file=keys))
    monkeypatch.setenv("GLYPH_API_KEYS", "0123456789abcdef")
    check_access(settings_of(host="0.0.0.0"))


def test_keys_that_cannot_be_read_end_it_before_anything_starts(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["serve", "--keys-file", str(tmp_path / "nowhere")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nowhere" in result.stderr


def test_access_options_go_before_the_files(tmp_path: Path) -> None:
    config = write(tmp_path, "access: {max_concurrent: 3, keys_file: in-file}\n")
    assert settings_of(config).app["access"] == {"max_concurrent": 3, "keys_file": "in-file"}
    given = settings_of(config, keys_file=Path("given"), allow_unauthenticated=True)
    assert given.app["access"] == {"max_concurrent": 3, "keys_file": "given", "allow_unauthenticated": True}
    kept = write(tmp_path, "access: {allow_unauthenticated: true}\n")
    assert settings_of(kept, keys_file=Path("given")).app["access"]["allow_unauthenticated"]


def test_spans_are_what_serve_is_told_of_them(tmp_path: Path) -> None:
    text = (REPOSITORY / "serve_config.yaml").read_text() + "\ntracing_config: {enabled: true, sampling_ratio: 0.5}\n"
    settings = settings_of(write(tmp_path, text))
    assert settings.tracing_config == {"enabled": True, "sampling_ratio": 0.5}
    told = tracing_config(settings.tracing_config)
    assert told is not None
    assert told.sampling_ratio == 0.5
    assert tracing_config(settings_of(REPOSITORY / "serve_config.yaml").tracing_config) is None
    with pytest.raises(ConfigError, match=r"tracing_config: .*sampling"):
        tracing_config({"sampling_ratio": 2})


def test_who_stops_it_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Endpoint) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(Endpoint, "wait", interrupted)
    stay_until_stopped(object.__new__(Endpoint))
    assert "stopping: answers on their way have 10 s" in capsys.readouterr().err
