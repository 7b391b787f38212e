"""The parts of ``overlap`` that ask a served endpoint. Each fills its part of the report and yields what is done."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

import httpx

from deployments.bench.apart import Json, Show
from deployments.bench.overlap_plan import CHARS_PER_TOKEN, PRESET, OverlapPlan, engine_fields
from deployments.bench.ports import free_port
from deployments.bench.texts import made_up
from deployments.client import root_of
from deployments.endpoint import Endpoint, EndpointSettings, EndpointUrls
from glyph_core.config import PRESETS
from glyph_core.errors import StageError

MPS = "nvidia-cuda-mps-control"
REQUEST_TIMEOUT_S = 300.0


def served(plan: OverlapPlan, model: str, part: Json, show: Show) -> Iterator[str]:
    """Fills ``part``; yields what is done, after each step."""
    with _running(plan, model, show) as url:
        yield "ready"
        _ask(url, plan.short_tokens, seed=1000)
        yield "the first answer, which compiles kernels"
        yield from _long_document(plan, url, part, seeds=(0, 1))
        part["at_once"] = _throughput(plan, url, num_at_once=plan.num_short, first_seed=2000)
        yield f"{plan.num_short} documents at once"
        part["one_after_another"] = _throughput(plan, url, num_at_once=1, first_seed=3000)
        apart_s, together_s = part["one_after_another"]["wall_s"], part["at_once"]["wall_s"]
        part["at_once_speedup"] = round(apart_s / together_s, 2)
        part["status"] = httpx.get(f"{url}/status", timeout=60, trust_env=False).json()
        yield f"{plan.num_short} documents one after another"


def _long_document(plan: OverlapPlan, url: str, part: Json, seeds: Sequence[int]) -> Iterator[str]:
    part |= {"first_token_s": [], "timings": []}
    for seed in seeds:
        seconds, answer = _ask(url, plan.long_tokens, seed)
        part["first_token_s"].append(seconds)
        part["timings"].append(answer["glyph"]["timings"])
        part |= {"usage": answer["usage"], "pages": answer["glyph"]["pages"]}
        yield f"a long document: {seconds} s"


def served_capped(plan: OverlapPlan, model: str, part: Json, show: Show) -> Iterator[str]:
    """The same document twice: the second time its blocks are there."""
    with _running(plan, model, show, capped=True) as url:
        part["gpu_used_mib"] = [_gpu_used_mib()]
        part["health"] = httpx.get(f"{url}/healthz", timeout=60, trust_env=False).json()
        yield "ready"
        _ask(url, plan.short_tokens, seed=1000)
        yield "the first answer, which compiles kernels"
        for step in _long_document(plan, url, part, seeds=(0, 0)):
            part["gpu_used_mib"].append(_gpu_used_mib())
            yield step
        part["status"] = httpx.get(f"{url}/status", timeout=60, trust_env=False).json()


def _gpu_used_mib() -> int | None:
    """Of the one card that this process may use; None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    card = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    asked = ["nvidia-smi", "-i", card, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(asked, check=True, capture_output=True, text=True, timeout=30).stdout)


def _throughput(plan: OverlapPlan, url: str, num_at_once: int, first_seed: int) -> Json:
    started_at = time.perf_counter()
    with ThreadPoolExecutor(num_at_once) as threads:
        answers = list(
            threads.map(
                lambda seed: _ask(url, plan.short_tokens, seed, plan.answer_tokens),
                range(first_seed, first_seed + plan.num_short),
            )
        )
    wall_s = time.perf_counter() - started_at
    usages = [answer["usage"] for _, answer in answers]
    return {
        "wall_s": round(wall_s, 3),
        "answers_s": round(len(answers) / wall_s, 3),
        "prompt_tokens_s": round(sum(usage["prompt_tokens"] for usage in usages) / wall_s),
        "completion_tokens_s": round(sum(usage["completion_tokens"] for usage in usages) / wall_s, 1),
        "median_ttft_ms": median(answer["glyph"]["timings"]["ttft_ms"] for _, answer in answers),
        "median_e2e_s": round(median(seconds for seconds, _ in answers), 3),
    }


def _ask(url: str, num_tokens: int, seed: int, max_tokens: int = 1) -> tuple[float, Json]:
    """Seconds to the whole answer, and the answer, about a document that nobody has seen."""
    text = made_up("english", num_tokens * CHARS_PER_TOKEN, seed)
    document = base64.b64encode(text.encode()).decode()
    parts = [{"type": "file", "file": {"file_data": document}}, {"type": "text", "text": "What is it about?"}]
    name = httpx.get(f"{url}/v1/models", timeout=60, trust_env=False).json()["data"][0]["id"]
    body = {"model": name, "max_tokens": max_tokens, "messages": [{"role": "user", "content": parts}]}
    started_at = time.perf_counter()
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=REQUEST_TIMEOUT_S, trust_env=False)
    seconds = time.perf_counter() - started_at
    if response.status_code != 200:
        raise StageError(f"the endpoint answered {response.status_code}: {response.text}")
    answer: Json = response.json()
    return round(seconds, 4), answer


@contextmanager
def _running(plan: OverlapPlan, model: str, show: Show, *, capped: bool = False) -> Iterator[str]:
    num_cpus, gpu = (4, 1.0) if plan.has_gpu else (0.5, 0.0)
    engine = engine_fields(plan)
    model_fields: Json = {"model": model}
    if capped and plan.capped_gb is not None:
        del engine["kv_memory_gb"]  # it takes what the plan leaves
        model_fields |= {"weights": "fp8", "gpu_memory_gb": plan.capped_gb}
    app = {
        "model": model_fields,
        "render": PRESETS[PRESET].model_dump(),
        "encoder": {"num_cpus": num_cpus, "num_gpus": 0.25 * gpu},
        "decoder": {"num_cpus": num_cpus, "num_gpus": 0.75 * gpu},
        "renderers": {"num_cpus": 0.25, "min_replicas": 2, "max_replicas": 2},
        "engine": engine,
    }
    settings = EndpointSettings(port=free_port(), object_store_gb=8 if plan.has_gpu else None, app=app, page=None)
    with Endpoint(settings) as endpoint:
        urls: EndpointUrls = endpoint.wait_ready(show)
        yield root_of(urls.api)


def served_with_mps(plan: OverlapPlan, model: str, part: Json, show: Show) -> Iterator[str]:
    """MPS gives both stages' processes one context. Its daemon, ours alone, is ended with the part."""
    if shutil.which(MPS) is None:
        raise StageError(f"{MPS} is not there")
    with tempfile.TemporaryDirectory() as folder:
        ours = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        before = {name: os.environ.get(name) for name in ours}
        os.environ |= ours
        try:
            subprocess.run([MPS, "-d"], check=True, timeout=30)
            yield from served(plan, model, part, show)
        finally:
            subprocess.run([MPS], input="quit\n", text=True, check=False, timeout=30)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
