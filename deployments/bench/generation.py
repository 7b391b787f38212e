"""Our engine and vLLM's beside each other: the same shape, the same prompts, the same protocol.

Each is asked as its users ask it: prompts of token ids in, ids out, greedy, its scheduler and its prefix cache
included; random weights, no tokenizer. A decoding step is the difference between two whole answers of different length,
over prompts that the cache knows; a prefill is the time to the one token of an answer to a prompt that it doesn't.

``python -m deployments.bench.generation --engine glyph|vllm --weights bf16|fp8 --out FILE`` (vLLM: ``pip install vllm``
in an environment of its own). vLLM runs the text model as Glm4ForCausalLM, which has the same layers as Glyph's; it
turns by one position in place of three.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from pathlib import Path
from random import Random

import torch

import glyph_core.model
from deployments.bench.report import Json, installed_versions, now
from glyph_core.errors import GlyphError
from glyph_core.model.shape import ModelShape

CONFIGS = Path(glyph_core.model.__file__).parent / "configs"
SHORT, LONG = (
    96,
    192,
)  # tokens of the two answers; prompts come in one by one, and all must be there before the short one ends
OWN_TOKENS = 64  # that each prompt has beside the prefix it shares
MAX_NUM_SEQS = 32
PACKAGES = ("torch", "triton", "transformers", "vllm", "flash-attn", "glyph-serve")
Prompts = list[list[int]]
Generate = Callable[[Prompts, int], float]
"""(prompts, tokens of each answer) → seconds from handing over the prompts to the last token of all"""
DECODE = ((1, 8192), (8, 8192), (32, 8192))  # (sequences, context)
SHARED = ((8, 80_000), (32, 80_000))  # (sequences, shared prefix)
PREFILL = (8192, 32_768, 79_400)
PARTS = ("decode", "prefill", "shared_prefix")
TINY = (((2, 100),), ((2, 96),), (130,))


def measure(
    generate: Generate, report: Json, keep: Callable[[], None], parts: Collection[str], *, is_tiny: bool
) -> None:
    """Fills ``report`` and calls ``keep`` after each case. What fails is recorded, and the rest measured."""
    decode, shared, prefill = TINY if is_tiny else (DECODE, SHARED, PREFILL)
    random = Random(0)

    def prompts(num: int, length: int, head: Sequence[int] = ()) -> Prompts:
        return [[*head, *(random.randrange(10, 250) for _ in range(length))] for _ in range(num)]

    generate(prompts(1, 64), SHORT)  # warms up

    def record(part: str, row: Json, run: Callable[[], dict[str, float]]) -> None:
        try:
            row |= run()
        except (RuntimeError, GlyphError) as error:  # torch's out of memory is one
            row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        report.setdefault(part, []).append(row)
        keep()

    def decoding(asked: Prompts) -> dict[str, float]:
        first_s = generate(asked[:1], 1) + (generate(asked[1:], 1) if asked[1:] else 0.0)
        short_s, long_s = (
            min(times) for times in zip(*([generate(asked, n) for n in (SHORT, LONG)] for _ in range(2)), strict=True)
        )
        step_s = (long_s - short_s) / (LONG - SHORT)
        return {
            "step_ms": 1e3 * step_s,
            "tokens_s": len(asked) / step_s,
            "fill_s": first_s,
            "short_s": short_s,
            "long_s": long_s,
        }

    def prefilling(length: int) -> dict[str, float]:
        times = [generate(prompts(1, length), 1) for _ in range(2)]
        return {"prefill_s": min(times), "tokens_s": length / min(times)}

    for num, context in decode if "decode" in parts else ():
        asked = prompts(num, context)
        record("decode", {"sequences": num, "context": context}, lambda asked=asked: decoding(asked))  # type: ignore[misc]
    for length in prefill if "prefill" in parts else ():
        record("prefill", {"tokens": length}, lambda length=length: prefilling(length))  # type: ignore[misc]
    heads = {prefix: prompts(1, prefix)[0] for _, prefix in shared}
    for num, prefix in shared if "shared_prefix" in parts else ():
        asked = prompts(num, OWN_TOKENS, heads[prefix])
        record("shared_prefix", {"sequences": num, "prefix": prefix}, lambda asked=asked: decoding(asked))  # type: ignore[misc]


def glyph_engine(config: Json, weights: str, options: Json) -> Generate:
    """Ours, with random weights on the device that there is."""
    from transformers import AutoConfig

    from glyph_core.config import EngineConfig, SamplingConfig
    from glyph_core.engine.engine import Engine
    from glyph_core.model.fused_text import FusedTextModel
    from glyph_core.model.layer_ops import pick_ops
    from glyph_core.model.loading import pick_device
    from glyph_core.model.text_style import GLM
    from glyph_core.model.weights import RandomWeights
    from glyph_core.types import Prompt

    device = pick_device("auto")
    source = RandomWeights(torch.bfloat16 if device.type == "cuda" else torch.float32, device)
    model = FusedTextModel(AutoConfig.for_model(**config), source, pick_ops(device), GLM, is_fp8=weights == "fp8")
    shape = ModelShape.of(config).text
    fields: Json = {"max_num_seqs": MAX_NUM_SEQS, "max_num_batched_tokens": 8192, "num_blocks": 24_000}
    engine = Engine(model, EngineConfig.model_validate(fields | options), (), shape.max_model_len)

    @torch.inference_mode()
    def generate(prompts: Prompts, num_tokens: int) -> float:
        sampling = SamplingConfig(max_tokens=num_tokens, ignore_eos=True)
        started_at = time.perf_counter()
        for index, token_ids in enumerate(prompts):
            engine.add(f"{index}", Prompt(token_ids=tuple(token_ids), pages=()), sampling)
        num_outputs = 0
        while engine.has_work:
            num_outputs += len(engine.step())
        taken_s = time.perf_counter() - started_at
        if num_outputs != len(prompts) * num_tokens:
            raise RuntimeError(f"{num_outputs} tokens came where {len(prompts) * num_tokens} were asked for")
        return taken_s

    return generate


def vllm_engine(config: Json, weights: str, options: Json) -> Generate:
    """vLLM's offline engine as it comes, but for the number of sequences, which is that of the largest case."""
    vllm = import_module("vllm")
    folder = Path(tempfile.mkdtemp(prefix="glyph-vllm-"))
    (folder / "config.json").write_text(json.dumps(vllm_config(config)))
    llm = vllm.LLM(
        model=str(folder), load_format="dummy", skip_tokenizer_init=True, dtype="bfloat16", max_num_seqs=MAX_NUM_SEQS,
        quantization="fp8" if weights == "fp8" else None, **options,
    )  # fmt: skip

    def generate(prompts: Prompts, num_tokens: int) -> float:
        sampling = vllm.SamplingParams(temperature=0.0, max_tokens=num_tokens, ignore_eos=True, detokenize=False)
        asked = [{"prompt_token_ids": token_ids} for token_ids in prompts]
        started_at = time.perf_counter()
        outputs = llm.generate(asked, sampling, use_tqdm=False)
        taken_s = time.perf_counter() - started_at
        if any(len(output.outputs[0].token_ids) != num_tokens for output in outputs):
            raise RuntimeError("an answer is shorter than what was asked for")
        return taken_s

    return generate


def vllm_config(config: Json) -> Json:
    """The text half of a glm4v configuration as a glm4 one: the same layers without pages."""
    text = dict(config["text_config"])
    rope = {name: value for name, value in text.pop("rope_parameters").items() if name != "mrope_section"}
    return text | {
        "architectures": ["Glm4ForCausalLM"],
        "model_type": "glm4",
        "dtype": "bfloat16",
        "attention_bias": True,
        "head_dim": text["hidden_size"] // text["num_attention_heads"],
        "tie_word_embeddings": config["tie_word_embeddings"],
        "rope_parameters": rope,
    }


ENGINES: dict[str, Callable[[Json, str, Json], Generate]] = {
    "glyph": glyph_engine,
    "vllm": vllm_engine,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="generation", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--weights", choices=("bf16", "fp8"), default="bf16")
    parser.add_argument("--options", type=json.loads, default={}, help="of the engine, as JSON")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--shape", default="glyph_9b", help="a configuration of glyph_core/model/configs")
    parser.add_argument("--tiny", action="store_true", help="short prompts: does the measurement itself work?")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    started_at = time.perf_counter()
    config = json.loads((CONFIGS / f"{given.shape}.json").read_text())
    generate = ENGINES[given.engine](config, given.weights, given.options)
    report: Json = {
        "date": now(),
        "engine": given.engine, "weights": given.weights, "options": given.options, "shape": given.shape,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "versions": installed_versions(*PACKAGES),
        "start_s": time.perf_counter() - started_at,
    }  # fmt: skip

    def keep() -> None:
        given.out.write_text(json.dumps(report, indent=1) + "\n")
        sys.stderr.write(f"{time.perf_counter() - started_at:.0f} s\n")
        sys.stderr.flush()

    keep()
    measure(generate, report, keep, given.parts, is_tiny=given.tiny)


if __name__ == "__main__":
    main()
