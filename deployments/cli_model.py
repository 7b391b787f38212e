"""``glyph model``: what a checkpoint is, and whether it would run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from deployments.cli_console import FAILURE, errors_reported, print_json, print_lines, print_text
from deployments.cli_options import Json

model = typer.Typer(name="model", help="Look at a checkpoint without loading its weights.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="glyph-mini, a checkpoint folder, or a hub id")]
Memory = Annotated[
    float | None, typer.Option(min=0.1, help="GiB of a card: says what its memory would go to, or what would fit")
]
Weights = Annotated[Literal["auto", "fp8"], typer.Option(help="of the language model's layers, for the memory plan")]


@model.command()
def info(name: Model, gpu_memory_gb: Memory = None, weights: Weights = "auto", json: Json = False) -> None:
    """Its family, its parts and their sizes, what a page costs, and what a card's memory would go to."""
    with errors_reported(as_json=json):
        report = model_report(name, gpu_memory_gb, weights)
        print_json(report) if json else print_lines(dict(_lines(report)))


@model.command()
def check(name: Model, gpu_memory_gb: Memory = None, weights: Weights = "auto", json: Json = False) -> None:
    """Whether files, tokenizer, chat template and memory fit; exit status 1 where they don't."""
    with errors_reported(as_json=json):
        report = model_report(name, gpu_memory_gb, weights)
    faults = report["faults"]
    if json:
        print_json({"model": report["model"], "ok": not faults, "faults": faults})
    else:
        print_text("".join(f"fault: {fault}\n" for fault in faults) or f"{report['model']}: nothing is at fault\n")
    if faults:
        raise typer.Exit(FAILURE)


def model_report(name: str, gpu_memory_gb: float | None = None, weights: str = "auto") -> dict[str, Any]:
    """Raises ModelError for a checkpoint of which nothing can be said."""
    from glyph_core.config import CreditConfig, EngineConfig
    from glyph_core.engine.memory_plan import plan_memory
    from glyph_core.errors import ConfigError
    from glyph_core.model.checkpoint import resolve_checkpoint
    from glyph_core.model.inspection import inspect

    checkpoint = resolve_checkpoint(name)
    found = inspect(checkpoint)
    plan, faults = None, list(found.faults)
    if weights == "fp8" and not found.shape.runs_fp8:
        faults.append(f"it does not run FP8 weights: {found.why_not_fused}")
    elif gpu_memory_gb is not None:
        is_fp8 = weights == "fp8"
        try:
            plan = str(plan_memory(found.shape, EngineConfig(), CreditConfig(), budget_gb=gpu_memory_gb, is_fp8=is_fp8))
        except ConfigError as error:
            faults.append(error.message)
    text = found.shape.text
    return {
        "model": checkpoint.name,
        "about": checkpoint.about,
        "path": str(checkpoint.path),
        "family": checkpoint.family,
        "dtype": checkpoint.dtype,
        "render_preset": checkpoint.preset,
        "max_model_len": checkpoint.max_model_len,
        "num_layers": text.num_layers,
        "kv_bytes_per_token": text.kv_bytes(2),
        "page": {
            "width_px": found.page_size[0], "height_px": found.page_size[1], "num_visual_tokens": found.page_tokens,
        },
        "parts": {
            part.name: {
                "num_weights": part.num_weights,
                "num_stored_weights": part.stored_weights,
                "stored_bytes": part.stored_bytes,
                "stored_dtypes": list(part.stored_dtypes),
                "files": list(part.files),
            }
            for part in found.parts
        },
        "kernels": "transformers" if found.why_not_fused else "fused",
        "why_not_fused": found.why_not_fused,
        "weights_are_random": checkpoint.is_random,
        "memory_plan": plan,
        "faults": faults,
    }  # fmt: skip


def _lines(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    page, why_not = report["page"], report["why_not_fused"]
    yield "model", f"{report['model']}, family {report['family']}, in {report['path']}"
    if report["about"]:
        yield "about", f"{report['model']} {report['about']}"
    for name, part in report["parts"].items():
        yield f"{name} part", f"{part['num_weights'] / 1e6:,.1f} M weights, {_stored(part, report)}"
    fused = "fused parts; on a GPU with CUDA graphs, and FP8 weights on sm_89 and sm_90"
    yield "text runs on", f"transformers' modules, which are slower: {why_not}" if why_not else fused
    yield (
        "a page",
        f"{page['num_visual_tokens']:,} visual tokens for {page['width_px']}×{page['height_px']} px, as preset "
        f"{report['render_preset']} draws it",
    )
    yield (
        "context",
        f"{report['max_model_len']:,} tokens, each {report['kv_bytes_per_token'] / 1024:,.1f} KiB of keys and values "
        f"in 16 bits over {report['num_layers']} layers",
    )
    if report["memory_plan"]:
        yield "memory", report["memory_plan"].removeprefix("memory plan for ")
    for number, fault in enumerate(report["faults"], 1):
        yield f"fault {number}", fault


def _stored(part: dict[str, Any], report: dict[str, Any]) -> str:
    if report["weights_are_random"]:
        return "drawn when it is loaded"
    if part["stored_bytes"] is None:
        return f"not all of its {len(part['files'])} files are there"
    files = part["files"][0] if len(part["files"]) == 1 else f"{len(part['files'])} files"
    return f"{part['stored_bytes'] / 1e6:,.1f} MB as {', '.join(part['stored_dtypes'])} in {files}"
