"""What the served application can be told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from deployments.access import AccessConfig
from deployments.entrance import OverloadConfig
from glyph_core.config import Config, FeatureStoreConfig, PipelineConfig, StoreConfig
from glyph_core.errors import ConfigError


class GatewayArgs(Config):
    """What the gateway takes, which computes no tensors."""

    num_cpus: float = Field(0.1, ge=0)


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

    @model_validator(mode="after")
    def _bounds_hold_something(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ConfigError(
                f"renderers.min_replicas={self.min_replicas} is more than max_replicas={self.max_replicas}; raise the "
                "second or lower the first"
            )
        return self


class AppArgs(PipelineConfig):
    """Everything that the application can be told; a misspelt name fails the deployment."""

    renderers: RendererArgs = RendererArgs()
    encoder: ReplicaArgs = ReplicaArgs(num_cpus=0.4)
    decoder: ReplicaArgs = ReplicaArgs(num_cpus=0.5)
    gateway: GatewayArgs = GatewayArgs()
    access: AccessConfig = AccessConfig()
    overload: OverloadConfig = OverloadConfig()
    store: StoreConfig = StoreConfig()
    feature_store: FeatureStoreConfig = FeatureStoreConfig()
    pairs: int = Field(
        1, ge=1, description="of encoder and decoder; several: each on a Ray node of its own, by its GPU"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="INFO: a line a request; DEBUG: also one for every plan and range of pages"
    )

    @model_validator(mode="after")
    def _lets_the_largest_request_in(self) -> Self:
        if self.overload.max_open_bytes < self.limits.max_request_bytes:
            raise ConfigError(
                f"overload.max_open_bytes={self.overload.max_open_bytes} has no room for one request of "
                f"limits.max_request_bytes={self.limits.max_request_bytes}, which would come again for ever; raise the "
                "first or lower the second"
            )
        return self
