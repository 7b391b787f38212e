"""The Serve application: the only place that wraps the stages into deployments.

serve run deployments.app:build_app
serve deploy serve_config.yaml
"""

# Annotations stay evaluated here: Serve reads build_app's to turn its arguments into AppArgs.

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import Field
from ray import serve
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import LoggingConfig

from deployments.decoder import Decoder, LoadedDecoder, load_decoder
from deployments.encoder import Encoder, LoadedEncoder, load_encoder
from deployments.gateway import Gateway
from deployments.renderer import LoadedRenderer, Renderer, load_renderer
from glyph_core.config import Config, ModelConfig, PipelineConfig
from glyph_core.model.checkpoint import BUILT_IN

MANY = 1024  # requests that a replica may have open: admission is the engine's business, not the router's
QUIET = LoggingConfig(enable_access_log=False)  # a line for every range of pages would say nothing


class ReplicaArgs(Config):
    """What one replica of a stage takes. Fractions are Ray's bookkeeping: several replicas share a core or a GPU."""

    num_cpus: float = Field(0.1, ge=0, description="above 1 also the number of threads of tensor work")
    num_gpus: float = Field(0.0, ge=0, description="0: this stage runs on the CPU")


class RendererArgs(Config):
    """Renderers come and go with the number of page ranges that wait for one."""

    num_cpus: float = Field(0.25, ge=0)
    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(2, ge=1)
    upscale_delay_s: float = Field(2.0, ge=0)
    downscale_delay_s: float = Field(60.0, ge=0, description="a new renderer takes seconds to start: keep it a while")


class AppArgs(PipelineConfig):
    """Everything that the application can be told; a misspelt name fails the deployment."""

    renderers: RendererArgs = RendererArgs()
    encoder: ReplicaArgs = ReplicaArgs(num_cpus=0.4)
    decoder: ReplicaArgs = ReplicaArgs(num_cpus=0.5)
    gateway: ReplicaArgs = ReplicaArgs()


@dataclass(frozen=True)
class Loaders:
    """What each stage makes its work of, called in its replicas. Tests put stages of fixed cost here."""

    renderer: Callable[[], LoadedRenderer]
    encoder: Callable[[], LoadedEncoder]
    decoder: Callable[[], LoadedDecoder]


def build_app(args: AppArgs) -> serve.Application:
    """The application for ``args``; the stages load their parts of the checkpoint in their replicas."""
    loaders = Loaders(
        partial(load_renderer, _absolute(args.model.model), args.limits),
        partial(load_encoder, _model_config(args, args.encoder)),
        partial(load_decoder, _model_config(args, args.decoder), args.engine),
    )
    return bind_chain(args, loaders)


def bind_chain(args: AppArgs, loaders: Loaders) -> serve.Application:
    """Gateway → decoder → encoder → renderers; the decoder asks the renderers for plans, too."""
    renderers = _renderers(args.renderers).bind(loaders.renderer, args.credits.pages_per_message)
    encoder = _deployment(Encoder, args.encoder).bind(renderers, loaders.encoder, args.credits, args.feature_cache_gb)
    decoder = _deployment(Decoder, args.decoder).bind(renderers, encoder, loaders.decoder, args.credits, args.limits)
    config = PipelineConfig(
        model=_model_config(args, args.gateway), render=args.render, engine=args.engine, limits=args.limits
    )
    return _deployment(serve.ingress()(Gateway), args.gateway).bind(decoder, config)


def _renderers(replicas: RendererArgs) -> serve.Deployment:
    return serve.deployment(
        Renderer,
        ray_actor_options={"num_cpus": replicas.num_cpus},
        max_ongoing_requests=2,  # one draws while the other's message is under way; the rest waits for any replica
        logging_config=QUIET,
        autoscaling_config=AutoscalingConfig(
            min_replicas=replicas.min_replicas,
            max_replicas=replicas.max_replicas,
            target_ongoing_requests=1,
            upscale_delay_s=replicas.upscale_delay_s,
            downscale_delay_s=replicas.downscale_delay_s,
            # Averages over longer than a delay would still ask for replicas that are no longer needed.
            look_back_period_s=max(0.5, min(replicas.upscale_delay_s, replicas.downscale_delay_s)),
            metrics_interval_s=0.5,
        ),
    )


def _deployment(stage: type, replica: ReplicaArgs) -> serve.Deployment:
    return serve.deployment(
        stage,
        name=stage.__name__,
        ray_actor_options={"num_cpus": replica.num_cpus, "num_gpus": replica.num_gpus},
        max_ongoing_requests=MANY,
        logging_config=QUIET,
    )


def _model_config(args: AppArgs, replica: ReplicaArgs) -> ModelConfig:
    """The model as a replica loads it: by a path that holds in any working directory, on the CPU without a GPU."""
    device = "cpu" if args.model.device == "auto" and not replica.num_gpus else args.model.device
    return args.model.model_copy(update={"model": _absolute(args.model.model), "device": device})


def _absolute(model: str) -> str:
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.is_dir() and model not in BUILT_IN else model
