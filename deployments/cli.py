"""The ``glyph`` command. Each command only reads its arguments here; what it does stands in a module of its own,
imported when it runs, so that ``glyph --help`` loads neither torch nor Ray.

Exit status: 0, 1 for a failure (one sentence on stderr says which), 2 for wrong usage, 130 after Ctrl-C.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from deployments.cli_bench import bench
from deployments.cli_console import ProgressBars, errors_reported, print_json, print_lines, print_text, print_warnings
from deployments.cli_endpoint import batch, serve, status
from deployments.cli_model import model as model_commands
from deployments.cli_options import DOCUMENTS, MODEL_HELP, Json, Preset
from glyph_core.config import EvidenceConfig, SamplingConfig

app = typer.Typer(
    name="glyph",
    help="Ask questions about documents through their page images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # in Rich's own "[default: 7860]" would be a style, and not be shown
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(bench)
app.add_typer(model_commands)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_text(f"glyph-serve {version('glyph-serve')}\n")
        raise typer.Exit


@app.callback()
def main(
    wants_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="print the version and end")
    ] = False,
) -> None:
    """Ask questions about documents through their page images."""


@app.command()
def render(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help=DOCUMENTS)],
    out: Annotated[Path, typer.Option(help="folder for the page images; made where it is not there")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "glyph-mini",
    preset: Preset = None,
    dpi: Annotated[
        float | None, typer.Option(help="pages so much larger, type and all  [default: the preset's]")
    ] = None,
    font_size: Annotated[float | None, typer.Option(help="em in px, before --dpi  [default: the preset's]")] = None,
    line_spacing: Annotated[
        float | None, typer.Option(help="line height over font size  [default: the preset's]")
    ] = None,
    mode: Annotated[
        Literal["auto", "reflow", "native"] | None,
        typer.Option(help="a PDF's text set anew, its pages as they are, or what suits each page"),
    ] = None,
    highlight: Annotated[bool, typer.Option("--highlight", help="code in colours")] = False,
    newline_marks: Annotated[
        bool, typer.Option("--newline-marks", help="text flows on at line ends, which show as a red \\n")
    ] = False,
    spans: Annotated[bool, typer.Option("--spans", help="beside each page a JSON file: what stands where")] = False,
    gallery: Annotated[bool, typer.Option("--gallery", help="gallery.html: all pages on one, for a browser")] = False,
    json: Json = False,
) -> None:
    """Draw documents as the page images that the model would see, one PNG a page."""
    with errors_reported(as_json=json):
        from deployments.cli_render import Output, RenderKnobs, render_files

        knobs = RenderKnobs(preset, dpi, font_size, line_spacing, mode, highlight, newline_marks)
        output = Output(out, spans, gallery)
        with ProgressBars() as bars:
            report = render_files(files, output, model, knobs, lambda done, of: bars.update("pages", done, of))
        print_warnings(report.warnings)
        if json:
            print_json(report.as_json())
        else:
            print_lines(report.as_lines())


def _checked_question(files: list[Path], question: str, template: str | None) -> tuple[list[Path], str]:
    """The documents and what is asked about them; a template needs no question, so that a file may come last."""
    is_file = os.path.isfile(question)  # Path.is_file raises where a question is too long for a name
    if template is not None and is_file:
        return [*files, Path(question)], ""
    if not files:
        missing = f"the question about {question}" if is_file else "the document to ask about"
        raise typer.BadParameter(f'{missing} is missing: glyph ask FILE… "QUESTION"')
    if is_file:
        raise typer.BadParameter(f"{question} is a file; the question comes last, in quotes")
    if template is None and not question.strip():
        raise typer.BadParameter("the question is empty")
    return files, question


@app.command()
def ask(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help=DOCUMENTS, default_factory=list, show_default=False)
    ],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="what to find out; none with --template")],
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="ask the endpoint there, not a model in this process")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help=f"{MODEL_HELP}; with --url, the model to ask  [default: glyph-mini]")
    ] = None,
    preset: Preset = None,
    system: Annotated[str | None, typer.Option(help="a system message, which stands before the documents")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="the answer's length at most")] = 256,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 takes the likeliest token each time")] = 0.0,
    top_p: Annotated[float, typer.Option(max=1)] = 1.0,
    seed: Annotated[int | None, typer.Option(help="the same seed draws the same answer")] = None,
    template: Annotated[str | None, typer.Option(help="a task: contract-summary, risk-list, compare, …")] = None,
    schema: Annotated[Path | None, typer.Option(help="a JSON schema that the answer is held to")] = None,
    citations: Annotated[bool, typer.Option(help="name the passages that the answer rests on")] = True,
    grounding: Annotated[
        Literal["off", "flag", "repair"], typer.Option(help="values of the answer that the text does not hold")
    ] = "repair",
    second_look: Annotated[
        bool | None, typer.Option(help="draw a doubtful answer's pages larger and ask again", show_default=False)
    ] = None,
    pin: Annotated[
        bool | None, typer.Option(help="with --url: keep the documents read there, or no longer", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Ask a question about documents, in this process or at an endpoint."""
    files, question = _checked_question(files, question, template)
    if pin is not None and url is None:
        raise typer.BadParameter("--pin and --no-pin are for the endpoint at --url; in this process nothing is kept")
    with errors_reported(as_json=json):
        from deployments.cli_ask import Question, ask_endpoint, ask_in_process, read_schema, read_sources, show

        sampling = SamplingConfig(
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            json_schema=read_schema(schema) if schema else None,
        )
        evidence = EvidenceConfig(citations=citations, grounding=grounding)
        asked = Question(read_sources(files), question, system, sampling, preset, evidence, template, second_look, pin)
        show(ask_endpoint(asked, url, model) if url else ask_in_process(asked, model or "glyph-mini"), as_json=json)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help=DOCUMENTS)],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="the document to compare it with")],
    url: Annotated[str | None, typer.Option(help="let the endpoint there compare them")] = None,
    preset: Preset = None,
    include_same: Annotated[bool, typer.Option("--include-same", help="with --json: what is the same, too")] = False,
    json: Json = False,
) -> None:
    """Compare two documents clause by clause: what changed, what moved, what only one of them has. Needs no model."""
    with errors_reported(as_json=json):
        from deployments.cli_compare import compare_at_endpoint, compare_in_process

        files = (first, second)
        if url:
            found = compare_at_endpoint(files, preset, url, include_same=include_same)
        else:
            found = compare_in_process(files, preset, include_same=include_same)
        if json:
            print_json(found)
        else:
            print_text(found["markdown"])
        print_warnings(found["warnings"])


for command in (batch, serve, status):
    app.command()(command)
