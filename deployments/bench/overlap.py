"""How well the stages overlap on one GPU, at a shape with random weights: the served chain beside its stages alone.

    python -m deployments.bench.overlap --out overlap.json                 # the 9B's shape: a GPU of 80 GB
    python -m deployments.bench.overlap --out overlap.json --part stages   # one part; others in the file stay
    python -m deployments.bench.overlap --out overlap.json --tiny          # does the measurement itself work?

Three parts, each in processes of its own: the stages alone (drawing, encoding and prefilling one long document, one
after another in one process); the endpoint: the time to the same document's first token, and 16 documents one after
another and at once; and the endpoint again under NVIDIA's MPS, where it is there, which lets the kernels of the two
GPU stages run side by side instead of in turns. A part that fails says why, and the others go on.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx

from deployments.bench.apart import Json, Show, run_apart
from deployments.bench.ports import free_port
from deployments.bench.random_checkpoint import write_random_checkpoint
from deployments.bench.texts import made_up
from deployments.client import root_of
from deployments.endpoint import Endpoint, EndpointSettings, EndpointUrls
from glyph_core.config import PRESETS
from glyph_core.errors import GlyphError, StageError

PARTS = ("stages", "served", "served_mps")
CHARS_PER_TOKEN = 4
PRESET = "glyph-en"
MPS = "nvidia-cuda-mps-control"
REQUEST_TIMEOUT_S = 300.0


Keep = Callable[[Json], None]


@dataclass(frozen=True, slots=True)
class OverlapPlan:
    """What is measured. Lengths are in text tokens of four characters."""

    shape: str = "glyph_9b"
    long_tokens: int = 262_144
    short_tokens: int = 16_384
    num_short: int = 16
    answer_tokens: int = 64
    chunk_tokens: int = 8192
    kv_memory_gb: float = 16.0
    has_gpu: bool = True


TINY = OverlapPlan("glyph_tiny", 2048, 512, 4, 8, 512, 0.2, has_gpu=False)


def overlap_report(plan: OverlapPlan, wanted: Sequence[str], report: Json, show: Show, keep: Keep) -> None:
    """Adds the ``wanted`` parts to ``report``; ``keep`` is handed what there is after each of them."""
    report |= {"date": datetime.now(UTC).isoformat(timespec="seconds"), "plan": asdict(plan)}
    with tempfile.TemporaryDirectory() as folder:
        model = str(write_random_checkpoint(Path(folder) / plan.shape, plan.shape))
        settings = {"plan": asdict(plan), "model": model}
        parts: dict[str, Callable[[], Json]] = {
            "stages": lambda: run_apart("deployments.bench.overlap_stages", settings, show),
            "served": lambda: _served(plan, model, show),
            "served_mps": lambda: _served_with_mps(plan, model, show),
        }
        for name in wanted:
            started_at = time.perf_counter()
            try:
                report[name] = parts[name]()
            except (GlyphError, httpx.HTTPError, OSError, subprocess.SubprocessError) as error:
                report[name] = {"error": f"{type(error).__name__}: {error}"}
            report[name]["part_s"] = round(time.perf_counter() - started_at, 1)
            _compare(report)
            keep(report)


def _compare(report: Json) -> None:
    """First token of the served chain over what encoder and decoder take alone, one after the other."""
    alone_s = report.get("stages", {}).get("long", {}).get("gpu_stages_s")
    for part in (report.get("served"), report.get("served_mps")):
        if alone_s and part and "first_token_s" in part:
            part["first_token_of_gpu_stages"] = round(min(part["first_token_s"]) / alone_s, 3)


def _served(plan: OverlapPlan, model: str, show: Show) -> Json:
    with _running(plan, model, show) as url:
        show("the long document")
        _ask(url, plan.short_tokens, seed=1000)  # the first compiles kernels
        answers = [_ask(url, plan.long_tokens, seed) for seed in range(2)]
        report: Json = {
            "first_token_s": [seconds for seconds, _ in answers],
            "timings": [answer["glyph"]["timings"] for _, answer in answers],
            "usage": answers[0][1]["usage"],
            "pages": answers[0][1]["glyph"]["pages"],
        }
        show(f"{plan.num_short} documents at once")
        report["at_once"] = _throughput(plan, url, num_at_once=plan.num_short, first_seed=2000)
        show(f"{plan.num_short} documents one after another")
        report["one_after_another"] = _throughput(plan, url, num_at_once=1, first_seed=3000)
        apart_s, together_s = report["one_after_another"]["wall_s"], report["at_once"]["wall_s"]
        report["at_once_speedup"] = round(apart_s / together_s, 2)
        report["status"] = httpx.get(f"{url}/status", timeout=60, trust_env=False).json()
        return report


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
def _running(plan: OverlapPlan, model: str, show: Show) -> Iterator[str]:
    num_cpus, gpu = (4, 1.0) if plan.has_gpu else (0.5, 0.0)
    app = {
        "model": {"model": model},
        "render": PRESETS[PRESET].model_dump(),
        "encoder": {"num_cpus": num_cpus, "num_gpus": 0.25 * gpu},
        "decoder": {"num_cpus": num_cpus, "num_gpus": 0.75 * gpu},
        "renderers": {"num_cpus": 0.25, "min_replicas": 2, "max_replicas": 2},
        "engine": engine_fields(plan),
    }
    settings = EndpointSettings(port=free_port(), object_store_gb=8 if plan.has_gpu else None, app=app)
    with Endpoint(settings) as endpoint:
        urls: EndpointUrls = endpoint.wait_ready(show)
        yield root_of(urls.api)


def engine_fields(plan: OverlapPlan) -> Json:
    return {"kv_memory_gb": plan.kv_memory_gb, "max_num_seqs": 32, "max_num_batched_tokens": plan.chunk_tokens}


def _served_with_mps(plan: OverlapPlan, model: str, show: Show) -> Json:
    """MPS gives both stages' processes one context. Its daemon, ours alone, is ended with the part."""
    if shutil.which(MPS) is None:
        return {"error": f"{MPS} is not there"}
    with tempfile.TemporaryDirectory() as folder:
        ours = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        before = {name: os.environ.get(name) for name in ours}
        os.environ |= ours
        try:
            subprocess.run([MPS, "-d"], check=True, timeout=30)
            return _served(plan, model, show)
        finally:
            subprocess.run([MPS], input="quit\n", text=True, check=False, timeout=30)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def main() -> None:
    parser = argparse.ArgumentParser(prog="overlap", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    parser.add_argument("--part", choices=PARTS, action="append", help="measure this alone; may be given several times")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape on the CPU")
    given = parser.parse_args()

    def show(phase: str) -> None:
        sys.stderr.write(f"[{time.perf_counter() - started_at:6.1f} s] {phase}\n")
        sys.stderr.flush()

    started_at = time.perf_counter()
    before = json.loads(given.out.read_text()) if given.part and given.out.exists() else {}
    plan = TINY if given.tiny else OverlapPlan()
    overlap_report(plan, given.part or PARTS, before, show, lambda report: _write(given.out, report))


def _write(path: Path, report: Json) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
