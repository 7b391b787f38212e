"""``scripts/quickstart``: starts the endpoint, asks it a question about a document of the repository, and stays up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.answer_stream import AskResult
from deployments.cli_ask import Question, ask_endpoint, read_sources
from deployments.cli_console import errors_reported, print_lines
from deployments.cli_serve import endpoint_settings, running_endpoint, stay_until_stopped
from deployments.endpoint import stop_signals_interrupt
from glyph_core.config import SamplingConfig
from glyph_core.errors import StageError

REPOSITORY = Path(__file__).parent.parent
DOCUMENT = REPOSITORY / "examples" / "service_agreement.md"
QUESTION = "What is the Governing Law?"


def quickstart(
    once: Annotated[bool, typer.Option("--once", help="end after the answer")] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="[default: 7860]")] = None,
    dashboard_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="[default: 8265, or the next free]")
    ] = None,
) -> None:
    """Start the endpoint, ask it a question about a document that the repository ships, and stay up until Ctrl-C."""
    settings = endpoint_settings(None, host=None, port=port, dashboard_port=dashboard_port, model=None, page=not once)
    with errors_reported(as_json=False), stop_signals_interrupt(), running_endpoint(settings) as (endpoint, urls):
        result = ask(urls.api)
        print_lines({"document": str(DOCUMENT.relative_to(REPOSITORY)), "question": QUESTION, "answer": result.answer})
        print_lines(result.as_lines())
        if once:
            return  # the endpoint ends with it: there is no address to tell
        print_lines({"page": str(urls.page), "api": urls.api, "dashboard": urls.dashboard})
        stay_until_stopped(endpoint)


def ask(url: str) -> AskResult:
    """Raises StageError where the answer is empty, and the endpoint's own errors."""
    question = Question(read_sources([DOCUMENT]), QUESTION, None, SamplingConfig(), None)
    *_, result = ask_endpoint(question, url, None)
    if not isinstance(result, AskResult) or not result.answer:
        raise StageError("the endpoint answered with nothing; its logs may say why")
    return result


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    app.command()(quickstart)
    app()
