"""The application's arguments, and the configuration that the repository ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import ValidationError
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from deployments.app import build_app, build_page
from deployments.app_args import AppArgs
from deployments.page.server import PageArgs
from glyph_core.config import PipelineConfig
from glyph_core.errors import ConfigError
from tests.deployments.serving import App, wait_until

SERVE_CONFIG = Path(__file__).parents[2] / "serve_config.yaml"


@pytest.fixture
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(SERVE_CONFIG.read_text())
    return loaded


def deployments_of(application: serve.Application) -> dict[str, serve.Deployment]:
    """By name."""
    found: dict[str, serve.Deployment] = {}
    todo = [application]
    while todo:
        bound = todo.pop()._bound_deployment
        found[bound.name] = bound
        todo += [argument for argument in bound.init_args if isinstance(argument, serve.Application)]
    return found


def options(application: serve.Application) -> dict[str, dict[str, float]]:
    """Each deployment's share of the machine."""
    return {name: deployment.ray_actor_options for name, deployment in deployments_of(application).items()}


def test_the_shipped_configuration_is_what_serve_and_the_app_take(config: dict[str, Any]) -> None:
    ServeDeploySchema.model_validate(config)
    application, page = config["applications"]
    args = AppArgs.model_validate(application["args"])
    page_args = PageArgs.model_validate(page["args"])
    assert page_args.max_document_bytes == args.limits.max_document_bytes
    assert build_page(page_args)
    shares = {name: share.get("num_gpus", 0) for name, share in options(build_app(args)).items()}
    assert shares == {"Gateway": 0, "Decoder": 0.75, "Encoder": 0.25, "Renderer": 0}


def test_by_default_everything_fits_two_cores_and_no_gpu() -> None:
    shares = [*options(build_app(AppArgs())).values(), {"num_cpus": PageArgs().num_cpus}]
    assert sum(share.get("num_gpus", 0) for share in shares) == 0
    one_more_renderer = AppArgs().renderers.num_cpus
    assert sum(share["num_cpus"] for share in shares) + one_more_renderer <= 2


@pytest.mark.parametrize(
    "args",
    [
        {"modle": {}},
        {"engine": {"num_block": 3}},
        {"decoder": {"num_gpu": 1}},
        {"renderers": {"max": 3}},
        {"gateway": {"num_gpus": 0.1}},
    ],
    ids=str,
)
def test_a_misspelt_name_is_refused(args: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        AppArgs.model_validate(args)


def test_more_renderers_at_least_than_at_most_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"min_replicas=3 is more than max_replicas=2"):
        AppArgs.model_validate({"renderers": {"min_replicas": 3}})


def test_a_request_that_could_never_come_in_is_refused_before_the_start() -> None:
    with pytest.raises(ConfigError, match="no room for one request"):
        AppArgs.model_validate({"overload": {"max_open_bytes": 1000}})
    assert AppArgs.model_validate({"overload": {"max_open_bytes": 1000}, "limits": {"max_request_bytes": 1000}})


def test_a_model_folder_holds_in_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    gateway = build_app(AppArgs.model_validate({"model": {"model": "model"}}))._bound_deployment
    [config] = [argument for argument in gateway.init_args if isinstance(argument, PipelineConfig)]
    assert config.model.model == str(tmp_path / "model")


def status_of(name: str) -> str:
    application = serve.status().applications.get(name)
    return str(application.status.value) if application else "NOT_STARTED"


@pytest.mark.serve
def test_the_shipped_configuration_reaches_running_on_the_cpu(serve_url: str, config: dict[str, Any]) -> None:
    """As ``serve deploy`` does it, without the lines that ask for a GPU."""
    application, _ = config["applications"]
    for stage in ("encoder", "decoder"):
        del application["args"][stage]["num_gpus"]
    application["route_prefix"] = "/configured"
    schema = ServeDeploySchema.model_validate({"applications": [application]})
    try:
        _get_global_client().deploy_apps(schema)
        wait_until(lambda: status_of("glyph") not in {"DEPLOYING", "NOT_STARTED"}, 300)
        assert status_of("glyph") == "RUNNING"
        app = App("glyph", f"{serve_url}/configured")
        app.wait_healthy()
        health = httpx.get(f"{app.url}/healthz").json()
        assert (health["model"], health["stages"]["decoder"]["device"]) == ("glyph-mini", "cpu")
    finally:
        serve.delete("glyph")
