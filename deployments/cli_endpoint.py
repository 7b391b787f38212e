"""The commands that serve, or that need an endpoint: their arguments. See :mod:`deployments.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from deployments.cli_console import ProgressBars, errors_reported, print_json, print_lines, print_text
from deployments.cli_options import MODEL_HELP, Json, Preset


def batch(
    source: Annotated[
        Path, typer.Argument(metavar="DIR|LIST", help="a folder, or a text file that names a file a line")
    ],
    questions: Annotated[Path, typer.Option(help="a text file with a question a line; each is asked of each file")],
    out: Annotated[Path, typer.Option(help="JSON lines; what it holds already is not asked again")],
    url: Annotated[str, typer.Option(help="the endpoint")] = "http://127.0.0.1:7860",
    model: Annotated[str | None, typer.Option(help="the model to ask  [default: the one that is served]")] = None,
    preset: Preset = None,
    system: Annotated[str | None, typer.Option(help="a system message, which stands before the documents")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="an answer's length at most")] = 256,
    concurrency: Annotated[int, typer.Option(min=1, help="questions that are asked at once")] = 4,
    patience: Annotated[float, typer.Option(min=0, help="seconds to wait for an endpoint that is full or away")] = 300,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="ask again what ended in an error")] = False,
    json: Json = False,
) -> None:
    """Ask every question about every document; a run that was stopped goes on where it was."""
    with errors_reported(as_json=json):
        from deployments.batch.asking import BatchOptions
        from deployments.cli_batch import run_batch, show_report

        options = BatchOptions(model, system, preset, max_tokens)
        with ProgressBars() as bars:
            report = run_batch(
                source,
                questions,
                out,
                url,
                options,
                concurrency=concurrency,
                patience_s=patience,
                retry_failed=retry_failed,
                on_progress=lambda done, of: bars.update("questions", done, of),
            )
        show_report(report, out, as_json=json)


def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="[default: 7860]")] = None,
    model: Annotated[str | None, typer.Option(help=f"{MODEL_HELP}  [default: glyph-mini]")] = None,
    weights: Annotated[
        Literal["bf16", "fp16", "fp8"] | None,
        typer.Option(help="the language model's weights on a GPU; fp8 wants sm_89 or sm_90  [default: bf16]"),
    ] = None,
    gpu_memory_gb: Annotated[
        float | None, typer.Option(min=1, help="GiB of one card that both stages share  [default: no limit]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML: the app's arguments, or a file for `serve deploy`; options go before it")
    ] = None,
    dashboard_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="of Ray's dashboard  [default: 8265, or the next free]")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="of the Prometheus endpoint  [default: any that is free]")
    ] = None,
    keys_file: Annotated[
        Path | None, typer.Option(help="API keys, one a line as `key` or `name: key`  [default: $GLYPH_API_KEYS]")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="folder or fsspec URL for uploaded files  [default: glyph-serve in the user's data folder]"),
    ] = None,
    allow_unauthenticated: Annotated[
        bool, typer.Option("--allow-unauthenticated", help="listen to other machines without an API key")
    ] = False,
    no_page: Annotated[bool, typer.Option("--no-page", help="without the page for people at /gradio")] = False,
    json: Json = False,
) -> None:
    """Serve the OpenAI-compatible endpoint and its page on this machine until Ctrl-C."""
    with errors_reported(as_json=json):
        from deployments.cli_serve import endpoint_settings, serve_until_stopped

        settings = endpoint_settings(
            config,
            host=host,
            port=port,
            dashboard_port=dashboard_port,
            metrics_port=metrics_port,
            model=model,
            weights=weights,
            gpu_memory_gb=gpu_memory_gb,
            keys_file=keys_file,
            store=store,
            allow_unauthenticated=allow_unauthenticated,
            page=not no_page,
        )
        serve_until_stopped(
            settings, lambda urls: (print_json if json else print_lines)(urls.model_dump(exclude_none=True))
        )


def status(
    url: Annotated[str, typer.Option(help="the endpoint")] = "http://127.0.0.1:7860",
    json: Json = False,
) -> None:
    """Show what an endpoint is doing: replicas, requests, queues, rates, KV blocks."""
    with errors_reported(as_json=json):
        from deployments.cli_status import as_text, fetch_status

        picture = fetch_status(url)
        if json:
            print_json(picture)
        else:
            print_text(as_text(picture, url))
