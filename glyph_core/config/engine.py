"""Which model, how its engine runs, and how its tokens are drawn."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from glyph_core.config.base import Config
from glyph_core.errors import ConfigError


class SamplingConfig(Config):
    """How tokens are drawn. ``temperature`` 0 is greedy decoding."""

    temperature: float = Field(0.0, ge=0.0, le=2.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(256, ge=1)
    stop: tuple[str, ...] = Field((), description="the answer ends before the first of these strings")
    seed: int | None = Field(None, description="same seed, same draw, whatever else is in the batch")
    repetition_penalty: float = Field(
        1.0, gt=0.0, le=10.0, description="CTRL (Keskar et al. 2019) section 4.1; 1 is off"
    )
    json_schema: str | None = Field(None, description="the answer is JSON that keeps to this schema, a JSON text")
    ignore_eos: bool = Field(False, description="for benchmarks: go on to max_tokens")


class EngineConfig(Config):
    """The language model's engine."""

    block_size: int = Field(16, ge=1, le=256, description="tokens to a KV block")
    num_blocks: int | None = Field(None, ge=2, description="KV blocks in the pool; None: what kv_memory_gb holds")
    kv_memory_gb: float = Field(1.0, gt=0, description="memory for KV blocks where num_blocks is not given")
    max_num_seqs: int = Field(32, ge=1, description="sequences that run at once")
    max_num_batched_tokens: int = Field(2048, ge=1, description="tokens in one step; a long prefill is cut to this")
    max_model_len: int | None = Field(None, ge=1, description="prompt + answer; None: the model's own context")
    host_kv_gb: float = Field(
        0.0, ge=0, description="host memory, in GiB, for KV blocks that fell out of the pool: copied back when wanted"
    )
    pinned_share: float = Field(
        0.25, ge=0, le=0.9, description="of the pool, that pinned documents may keep from eviction"
    )
    prefix_cache: bool = Field(True, description="keep finished blocks for prompts that begin alike")
    attention: Literal["auto", "sdpa", "triton", "flash"] = Field(
        "auto", description="attention backend; auto: triton on CUDA where it is installed, else sdpa"
    )
    prefill: Literal["auto", "sdpa", "varlen", "split"] = Field(
        "auto",
        description="prefill of triton; auto: in half precision on CUDA split (sm_90) or varlen (others), else sdpa",
    )
    shared_prefix: bool = Field(True, description="triton: read what running sequences share once for all of them")
    cuda_graphs: bool = Field(True, description="on CUDA: record decode steps once for each batch size, then replay")
    warm_up_s: float = Field(
        60.0, ge=0, description="on CUDA: seconds at the endpoint's start for recording those steps; 0: when they come"
    )
    kv_dtype: Literal["auto", "fp8"] = Field("auto", description="of keys and values in the pool; auto: the model's")

    @model_validator(mode="after")
    def _step_holds_decode(self) -> Self:
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ConfigError(
                f"max_num_batched_tokens={self.max_num_batched_tokens} cannot hold one token of each of "
                f"max_num_seqs={self.max_num_seqs} sequences; raise the first or lower the second"
            )
        return self


class ModelConfig(Config):
    """Which checkpoint, and how it is loaded."""

    model: str = Field("glyph-mini", description="glyph-mini, a checkpoint folder, or a hub id such as zai-org/Glyph")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: float32 on the CPU (the vision tower bfloat16 where it is fast), else bfloat16"
    )
    weights: Literal["auto", "fp8"] = Field(
        "auto",
        description="of the language model's layers. auto: in dtype; fp8: e4m3 with a scale a row (sm_89, sm_90)",
    )
    kernels: Literal["auto", "transformers", "fused"] = Field(
        "auto",
        description="what the language model is made of: transformers' modules, or ours, which are faster; auto: ours",
    )
    gpu_memory_gb: float | None = Field(
        None, gt=0, description="GiB of one card for both stages: KV blocks take what the rest leaves; None: no limit"
    )
    device: str = Field("auto", description="auto: cuda where there is one, else cpu")
    num_threads: int | None = Field(
        None, ge=1, description="CPU threads of a stage's tensor work; None: torch's choice"
    )
