"""The Serve application: the only place that wraps the stages into deployments.

serve run deployments.app:build_app
serve deploy serve_config.yaml
"""

# Annotations stay evaluated here: Serve reads build_app's to turn its arguments into AppArgs.

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ray import serve
from ray.serve.config import AutoscalingConfig, BackpressureConfig, RequestRouterConfig
from ray.serve.schema import LoggingConfig

from deployments.app_args import AppArgs, GatewayArgs, ReplicaArgs
from deployments.decoder import PLANS_AT_ONCE, Decoder
from deployments.encoder import Encoder
from deployments.gateway import Gateway
from deployments.loading import LoadedDecoder, LoadedEncoder, load_decoder, load_encoder
from deployments.page.server import Page, PageArgs
from deployments.renderer import LoadedRenderer, Renderer, load_renderer
from deployments.routing import ShortestQueueRouter
from deployments.serve_side import ServeSide
from glyph_core.config import FeatureStoreConfig, ModelConfig, PipelineConfig, StoreConfig
from glyph_core.model.checkpoint import BUILT_IN
from glyph_core.storage.files import default_path

SPARE = 128  # calls beside the open requests: health checks, status, and refusals on their way
# A renderer draws one call at a time; the others wait in it rather than in Serve's router, which would have each of
# them refused, wait and ask again, all of that for milliseconds of computing on both sides.
CALLS_A_RENDERER = 32
DRAIN_MARGIN_S = 30.0
HEALTH_CHECK_PERIOD_S = 1.0  # Serve replaces a replica after three failures: a decoder whose engine died, in seconds
FULL = BackpressureConfig(status_code=503, retry_after_s=1)  # where not even a refusal finds a place

PAGE_CALLS = 1000  # open at once: each tab holds a connection, and its browser some more
PAGE_DRAIN_S = 2.0  # tabs hold their connections for ever


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
        partial(load_encoder, _model_config(args, args.encoder), args.engine, args.credits, _feature_store(args)),
        partial(load_decoder, _model_config(args, args.decoder), args.engine, args.credits),
    )
    return bind_chain(args, loaders)


def build_page(args: PageArgs) -> serve.Application:
    """The page for people, an application beside the other: what it is busy with keeps no answer waiting, and when it
    dies the API lives. One replica, since a visit's events have to meet in one process.

    serve run deployments.app:build_page --route-prefix /gradio --name page
    """
    page = serve.deployment(
        serve.ingress()(Page),
        name="Page",
        num_replicas=1,
        ray_actor_options={"num_cpus": args.num_cpus},
        max_ongoing_requests=PAGE_CALLS,
        max_queued_requests=SPARE,
        logging_config=LoggingConfig(encoding="JSON", enable_access_log=False),
        graceful_shutdown_timeout_s=PAGE_DRAIN_S,
    )
    return page.bind(args, serve_side=ServeSide())


def bind_chain(args: AppArgs, loaders: Loaders) -> serve.Application:
    """Gateway → decoder → encoder → renderers; the decoder asks the renderers for plans, too.

    Every queue has an end. The gateway lets in so many requests and refuses the others itself; from there on the
    credits bound the calls that a request makes, and the limits here are what they come to.
    """
    open_requests, credits = args.overload.max_open_requests, args.credits
    open_ranges = open_requests * credits.encode_calls
    render_calls = max(open_ranges * credits.render_calls, open_requests * 2 * PLANS_AT_ONCE)
    renderers = _renderers(args, render_calls).bind(loaders.renderer, credits.pages_per_message)
    encoder = _deployment(Encoder, args.encoder, args, open_ranges, args.pairs).bind(
        renderers, loaders.encoder, credits, args.feature_cache_gb
    )
    decoder = _deployment(Decoder, args.decoder, args, open_requests, args.pairs).bind(
        renderers, encoder, loaders.decoder, credits, args.limits, args.overload.max_kv_pools
    )
    config = PipelineConfig(
        model=args.model.model_copy(update={"model": _absolute(args.model.model)}),
        render=args.render,
        engine=args.engine,
        limits=args.limits,
        reading=args.reading,
        templates=_absolute_file(args.templates),
    )
    access = args.access.model_copy(update={"keys_file": _absolute_file(args.access.keys_file)})
    gateway = _deployment(serve.ingress()(Gateway), args.gateway, args, open_requests)
    store = args.store.model_copy(update={"index": _absolute_file(args.store.index), "path": _store_path(args.store)})
    return gateway.bind(decoder, renderers, config, access, args.overload, store, serve_side=ServeSide())


def _renderers(args: AppArgs, max_calls: int) -> serve.Deployment:
    replicas = args.renderers
    return serve.deployment(
        Renderer,
        ray_actor_options={"num_cpus": replicas.num_cpus},
        max_ongoing_requests=CALLS_A_RENDERER,
        request_router_config=RequestRouterConfig(request_router_class=ShortestQueueRouter),
        max_queued_requests=max_calls + SPARE,
        logging_config=_logging(args),
        graceful_shutdown_timeout_s=_drain_s(args),
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


def _deployment(
    stage: type, replica: ReplicaArgs | GatewayArgs, args: AppArgs, max_calls: int, num_replicas: int = 1
) -> serve.Deployment:
    return serve.deployment(
        stage,
        name=stage.__name__,
        num_replicas=num_replicas,
        # By GPU fractions alone two encoders may share a card, and no decoder then finds room for its own.
        max_replicas_per_node=1 if num_replicas > 1 else None,
        ray_actor_options=replica.model_dump(),
        max_ongoing_requests=max_calls + SPARE,
        max_queued_requests=SPARE,
        backpressure_config=FULL,
        logging_config=_logging(args),
        graceful_shutdown_timeout_s=_drain_s(args),
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
    )


def _drain_s(args: AppArgs) -> float:
    """How long a replica that is replaced may go on with what it is at: no request takes longer."""
    return args.overload.timeout_s + DRAIN_MARGIN_S


def _logging(args: AppArgs) -> LoggingConfig:
    """JSON lines. Serve's own line for each call says nothing: the gateway's line for each request says more."""
    return LoggingConfig(encoding="JSON", log_level=args.log_level, enable_access_log=False)


def _model_config(args: AppArgs, replica: ReplicaArgs) -> ModelConfig:
    """The model as a replica loads it: by a path that holds in any working directory, on the CPU without a GPU."""
    device = "cpu" if args.model.device == "auto" and not replica.num_gpus else args.model.device
    return args.model.model_copy(update={"model": _absolute(args.model.model), "device": device})


def _absolute(model: str) -> str:
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.is_dir() and model not in BUILT_IN else model


def _absolute_file(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().resolve())


def _feature_store(args: AppArgs) -> FeatureStoreConfig:
    return args.feature_store.model_copy(update={"path": _absolute_file(args.feature_store.path)})


def _store_path(store: StoreConfig) -> str:
    """As it holds in any working directory and for any process that Ray starts."""
    path = store.path or default_path()
    return path if "://" in path else str(Path(path).expanduser().resolve())
