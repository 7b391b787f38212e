"""Settings checked before anything starts, and against the machine before anything waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from ray.serve.schema import TracingConfig

from deployments.app_args import AppArgs
from deployments.page.server import PageArgs
from deployments.wire import invalid_request
from glyph_core.errors import ConfigError


def app_args(values: dict[str, Any]) -> AppArgs:
    """Raises ConfigError naming the first field at fault."""
    try:
        return AppArgs.model_validate(values)
    except ValidationError as error:
        raise ConfigError(invalid_request(error).message) from error


def page_args(values: dict[str, Any] | None, app: AppArgs) -> PageArgs | None:
    """The page's, which knows the application's own limit. Raises ConfigError naming the first field at fault."""
    if values is None:
        return None
    try:
        return PageArgs.model_validate({"max_document_bytes": app.limits.max_document_bytes, **values})
    except ValidationError as error:
        raise ConfigError(f"page: {invalid_request(error).message}") from error


def tracing_config(values: dict[str, Any] | None) -> TracingConfig | None:
    """Raises ConfigError naming the first field at fault."""
    try:
        return TracingConfig.model_validate(values) if values is not None else None
    except ValidationError as error:
        raise ConfigError(f"tracing_config: {invalid_request(error).message}") from error


def check_room(args: AppArgs, resources: Mapping[str, float], page: PageArgs | None = None) -> None:
    """Raises ConfigError where the replicas ask for more than ``resources``: they would wait for it for ever."""
    if args.pairs > 1:
        raise ConfigError(
            f"pairs={args.pairs} wants as many Ray nodes, and this command starts one: `ray start` on each of them and "
            "`serve deploy` the file"
        )
    num_renderers = args.renderers.min_replicas
    need = {
        "CPU": sum(replica.num_cpus for replica in (args.encoder, args.decoder, args.gateway))
        + num_renderers * args.renderers.num_cpus
        + (page.num_cpus if page else 0.0),
        "GPU": args.encoder.num_gpus + args.decoder.num_gpus,
    }
    for name, amount in need.items():
        if amount > (there := resources.get(name, 0.0)):
            raise ConfigError(
                f"the replicas take {amount:g} {name} together and this machine has {there:g}; lower their "
                f"num_{name.lower()}s, or start the endpoint on another machine"
            )
