"""``glyph bench``: measurements that anyone can repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.cli_console import errors_reported, phase_shown, print_json, print_text, print_warnings
from deployments.cli_options import Json

bench = typer.Typer(name="bench", help="Measure Glyph Serve on this machine.", no_args_is_help=True)


@bench.callback()
def _group() -> None:
    """Measure Glyph Serve on this machine."""


@bench.command()
def render(
    text: Annotated[
        list[Path] | None, typer.Option(help="an English or Chinese text instead; may be given several times")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="times that everything is run; means count")] = 1,
    table: Annotated[
        bool, typer.Option("--table", help="instead: time, pages and tokens by length and preset")
    ] = False,
    json: Json = False,
) -> None:
    """Text to pages: ours beside the seed article's Pillow code and the official Glyph's PDF pipeline.

    1.1 M characters of English and 350 k of Chinese, on one core, CPU time. Needs the extra `bench` and poppler-utils
    for the official pipeline.
    """
    with errors_reported(as_json=json), phase_shown() as show:
        from deployments.bench.render import as_lines, render_report, warnings_of
        from deployments.bench.table import table_lines, table_report

        if table:
            report = table_report(text or [], rounds, show)
            print_json(report) if json else print_text(table_lines(report))
        else:
            report = render_report(text or [], rounds, show)
            print_warnings(warnings_of(report))
            print_json(report) if json else print_text(as_lines(report))


@bench.command()
def engine(
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    tiny: Annotated[bool, typer.Option("--tiny", help="a tiny shape instead of the 9B's, for any machine")] = False,
    json: Json = False,
) -> None:
    """The language model's engine at the 9B's shape, random weights: decode by batch and context, shared prefix,
    prefill, accuracy, memory, and transformers beside it. The shape wants a GPU of 80 GB; --tiny runs anywhere.
    """
    with errors_reported(as_json=json), phase_shown() as show:
        from deployments.bench.bench_plan import bench_plan
        from deployments.bench.engine import engine_report
        from deployments.bench.engine_table import as_markdown
        from glyph_core.model.loading import pick_device

        report = engine_report(bench_plan(pick_device(device), is_tiny=tiny), show)
        print_json(report) if json else print_text(as_markdown(report))


@bench.command()
def page(
    url: Annotated[
        str | None, typer.Option(help="a running endpoint that serves the page [default: one of its own, glyph-mini]")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="turns without tabs and turns with them")] = 10,
    tabs: Annotated[int, typer.Option(min=1, help="open and idle")] = 10,
    json: Json = False,
) -> None:
    """The page for people: what idle tabs cost those who ask the API, and the seconds of a first visit, in Chromium
    where playwright and a chromium are installed. Two minutes.
    """
    with errors_reported(as_json=json), phase_shown() as show:
        from deployments.bench.page import PagePlan, as_lines, page_report

        report = page_report(url, PagePlan(num_rounds=rounds, num_tabs=tabs), show)
        print_json(report) if json else print_text(as_lines(report))


@bench.command()
def pipeline(
    rounds: Annotated[int, typer.Option(min=1, help="documents a case; the least time counts")] = 5,
    json: Json = False,
) -> None:
    """The way between the stages: 100 pages through Ray Serve, HTTP included, around stages that sleep.

    Beside the time that the slowest stage takes by itself. Starts a Ray of its own; one to two minutes.
    """
    with errors_reported(as_json=json), phase_shown() as show:
        from deployments.bench.pipeline import as_lines, pipeline_report

        report = pipeline_report(rounds, show)
        print_json(report) if json else print_text(as_lines(report))


@bench.command()
def reuse(
    visual_tokens: Annotated[int, typer.Option(min=1000, help="of the document")] = 32_768,
    json: Json = False,
) -> None:
    """A second question about a document beside the first: from the KV pool, from host memory, from disk.

    A tiny model with random weights on the CPU; starts an endpoint of its own twice. A few minutes.
    """
    with errors_reported(as_json=json), phase_shown() as show:
        from deployments.bench.reuse import as_lines, reuse_report

        report = reuse_report(visual_tokens, show)
        print_json(report) if json else print_text(as_lines(report))


@bench.command("serve")
def serve_(
    documents: Annotated[
        list[Path] | None, typer.Argument(help="files and folders to ask about [default: the repository's examples]")
    ] = None,
    url: Annotated[str, typer.Option(help="the endpoint's address")] = "http://127.0.0.1:7860",
    rate: Annotated[
        list[float] | None, typer.Option(min=0.001, help="open loop: Poisson arrivals a second; several times: levels")
    ] = None,
    clients: Annotated[
        list[int] | None, typer.Option(min=1, help="closed loop: so many ask without a pause; several times: levels")
    ] = None,
    duration: Annotated[float, typer.Option(min=1, help="seconds of each level")] = 30.0,
    warm_up: Annotated[int, typer.Option(min=0, help="requests before, one by one, that do not count")] = 3,
    question: Annotated[list[str] | None, typer.Option(help="may be given several times")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="of an answer")] = 64,
    fresh: Annotated[bool, typer.Option("--fresh", help="no text document twice: nothing comes from a cache")] = False,
    seed: Annotated[int, typer.Option(help="decides documents, questions and moments")] = 0,
    ttft_ms: Annotated[float, typer.Option(min=0, help="goodput: the first token within")] = 2000.0,
    tpot_ms: Annotated[float, typer.Option(min=0, help="goodput: a later token within")] = 200.0,
    picture: Annotated[Path | None, typer.Option(help="write a PNG, too; needs the extra `bench`")] = None,
    json: Json = False,
) -> None:
    """Load on a running endpoint: latencies, rates, goodput and errors, level by level; 1 request a second where no
    level is given.
    """
    with errors_reported(as_json=json), phase_shown() as show:
        from deployments.bench.serve_load import Level, measure_endpoint
        from deployments.bench.serve_picture import draw
        from deployments.bench.serve_report import Objective, as_text, report_of
        from deployments.bench.workload import QUESTIONS, Workload, documents_in

        levels = [Level(rate_per_s=each) for each in rate or []] + [Level(num_clients=each) for each in clients or []]
        asked = tuple(question or QUESTIONS)
        workload = Workload(documents_in(documents or []), asked, max_tokens, is_fresh=fresh, seed=seed)
        model, measured = measure_endpoint(url, workload, levels or [Level(rate_per_s=1.0)], duration, warm_up, show)
        report = report_of(url, model, workload, Objective(ttft_ms, tpot_ms), duration, measured)
        if picture:
            draw(report, measured, picture)
        print_json(report) if json else print_text(as_text(report))
