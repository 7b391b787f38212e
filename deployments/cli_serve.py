"""``glyph serve``: the endpoint in the foreground, until somebody stops it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deployments.access import LOOPBACK_HOSTS, AccessConfig, ApiKeys, check_exposure
from deployments.cli_console import phase_shown, stderr_console
from deployments.endpoint import STOP_GRACE_S, Endpoint, EndpointSettings, EndpointUrls, stop_signals_interrupt
from glyph_core.errors import ConfigError

IMPORT_PATH = "deployments.app:build_app"
PAGE_IMPORT_PATH = "deployments.app:build_page"
# Of Serve's configuration file: what `glyph serve` honours, and what means nothing on one machine.
SERVE_KEYS = frozenset({"applications", "http_options", "proxy_location", "tracing_config"})
APPLICATION_KEYS = frozenset({"name", "route_prefix", "import_path", "args"})

WEIGHTS: dict[str, dict[str, str]] = {  # of the option, in ModelConfig's fields
    "bf16": {"weights": "auto", "dtype": "bfloat16"},
    "fp16": {"weights": "auto", "dtype": "float16"},
    "fp8": {"weights": "fp8"},
}


def endpoint_settings(
    config: Path | None,
    *,
    host: str | None = None,
    port: int | None = None,
    dashboard_port: int | None = None,
    metrics_port: int | None = None,
    model: str | None = None,
    weights: str | None = None,
    gpu_memory_gb: float | None = None,
    keys_file: Path | None = None,
    store: str | None = None,
    allow_unauthenticated: bool = False,
    page: bool = True,
) -> EndpointSettings:
    """The file's settings, where there is one, and over them what the command line says.

    The file is either one for ``serve deploy`` or just the application's arguments. Raises ConfigError.
    """
    read = read_config(config) if config else FileSettings()
    http, app = read.http, read.app
    given_model: dict[str, Any] = {"model": model} if model else {}
    given_model |= WEIGHTS[weights] if weights else {}
    given_model |= {"gpu_memory_gb": gpu_memory_gb} if gpu_memory_gb else {}
    access: dict[str, Any] = {"keys_file": str(keys_file)} if keys_file else {}
    access |= {"allow_unauthenticated": True} if allow_unauthenticated else {}
    given_app = {"model": given_model, "access": access, "store": {"path": store} if store else {}}
    sections = {name: _mapping(app.pop(name, None), name) | options for name, options in given_app.items()}
    app |= {name: section for name, section in sections.items() if section}
    given = {"host": host, "port": port, "dashboard_port": dashboard_port, "metrics_port": metrics_port}
    http |= {name: value for name, value in given.items() if value is not None}
    return EndpointSettings.model_validate({**http, "app": app, "page": read.page if page else None})


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What a configuration file says."""

    http: dict[str, Any] = field(default_factory=dict)  # to Serve itself
    app: dict[str, Any] = field(default_factory=dict)  # the application's arguments
    page: dict[str, Any] | None = field(default_factory=dict)  # the page's; None: no page


def read_config(path: Path) -> FileSettings:
    """Raises ConfigError for what ``glyph serve`` would not honour."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path} holds no mapping of settings")
    if "applications" not in config:
        return FileSettings(app=config)
    _refuse_others(config, SERVE_KEYS, path)
    listed = config["applications"] if isinstance(config["applications"], list) else []
    applications = {a.get("import_path"): a for a in listed if isinstance(a, dict)}
    if IMPORT_PATH not in applications or len(listed) > len(applications):
        raise ConfigError(f"{path} must hold one application whose import_path is {IMPORT_PATH}")
    if others := applications.keys() - {IMPORT_PATH, PAGE_IMPORT_PATH}:
        raise ConfigError(f"{path} holds applications that are not ours: {', '.join(map(str, others))}")
    for application in applications.values():
        _refuse_others(application, APPLICATION_KEYS, path)
    app, page = (_mapping(applications.get(n, {}).get("args"), "args") for n in (IMPORT_PATH, PAGE_IMPORT_PATH))
    tracing = {"tracing_config": config["tracing_config"]} if config.get("tracing_config") else {}
    http = _mapping(config.get("http_options"), "http_options") | tracing
    return FileSettings(http, app, page if PAGE_IMPORT_PATH in applications else None)


def _mapping(value: object, name: str) -> dict[str, Any]:
    """What a file says under ``name``; empty where it says nothing. Raises ConfigError where it is no mapping."""
    if value is not None and not isinstance(value, dict):
        raise ConfigError(f"{name} in the configuration file must be a mapping of settings, such as {name}: {{…}}")
    return dict(value or {})


def _refuse_others(mapping: dict[str, Any], honoured: frozenset[str], path: Path) -> None:
    for key in mapping.keys() - honoured:
        raise ConfigError(f"{key!r} in {path} is honoured by `serve deploy`, not by `glyph serve`; remove it here")


@contextmanager
def running_endpoint(settings: EndpointSettings) -> Iterator[tuple[Endpoint, EndpointUrls]]:
    """An endpoint that answers; when the block ends, whatever ends it, nothing of it is left."""
    with Endpoint(settings) as endpoint:
        with phase_shown(in_files=True) as show_phase:
            urls = endpoint.wait_ready(show_phase)
        yield endpoint, urls


def serve_until_stopped(settings: EndpointSettings, on_ready: Callable[[EndpointUrls], None]) -> None:
    """Returns after Ctrl-C or SIGTERM. Raises ConfigError when it cannot start, StageError when it ends by itself."""
    check_access(settings)
    with stop_signals_interrupt():
        try:
            with running_endpoint(settings) as (endpoint, urls):
                on_ready(urls)
                stay_until_stopped(endpoint)
        except KeyboardInterrupt:
            return  # asked for, and all is stopped


def check_access(settings: EndpointSettings) -> None:
    """Raises ConfigError for keys that cannot be read, and where other machines could ask without one unless told."""
    access = AccessConfig.model_validate(settings.app.get("access") or {})
    keys = ApiKeys.of(access)
    check_exposure(settings.host, keys, access)
    if settings.host not in LOOPBACK_HOSTS and not keys:
        stderr_console().print(
            f"warning: listening on {settings.host} without API keys: whoever reaches this machine can ask",
            style="yellow",
        )


def stay_until_stopped(endpoint: Endpoint) -> None:
    """Returns after Ctrl-C or SIGTERM. Raises StageError when the endpoint ends by itself."""
    ray = Path(sys.executable).with_name("ray")  # of this environment, which need not be on the PATH
    console = stderr_console()
    console.print(f"the dashboard asks for the token that `{ray} get-auth-token` prints; Ctrl-C ends everything")
    try:
        endpoint.wait()
    except KeyboardInterrupt:
        console.print(f"stopping: answers on their way have {STOP_GRACE_S:.0f} s; Ctrl-C once more ends them, too")
