"""``glyph batch``: many questions about many documents, at an endpoint."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from deployments.batch.asking import BatchEndpoint, BatchOptions
from deployments.batch.inputs import batch_files, batch_questions
from deployments.batch.journal import Journal
from deployments.batch.run import Batch, BatchReport, OnProgress
from deployments.cli_console import FAILURE, print_json, print_lines, print_warnings
from deployments.client import async_endpoint_client, root_of


def show_report(report: BatchReport, out: Path, *, as_json: bool) -> None:
    """Ends the program with status 1 where a question failed."""
    if as_json:
        print_json(report.as_json())
    else:
        before = f", {report.done_before} done before" if report.done_before else ""
        print_lines({"answers": f"{report.answered} of {report.questions}{before}", "file": str(out)})
    if report.failed:
        print_warnings([f"{report.failed} questions failed: in {out} they have an error instead of an answer"])
        raise typer.Exit(FAILURE)


def run_batch(
    source: Path,
    questions: Path,
    out: Path,
    url: str,
    options: BatchOptions,
    *,
    concurrency: int,
    patience_s: float,
    retry_failed: bool,
    on_progress: OnProgress,
) -> BatchReport:
    """Asks what ``out`` does not answer yet.

    Raises InvalidRequestError for inputs that cannot be read and for an ``out`` that is something else, and whatever
    would meet every question.
    """
    files, asked = batch_files(source), batch_questions(questions)

    async def run(journal: Journal) -> BatchReport:
        async with async_endpoint_client(f"{root_of(url)}/v1") as client:
            endpoint = BatchEndpoint(client, options, patience_s)
            return await Batch(files, asked, journal, endpoint, concurrency, on_progress).run()

    with Journal(out, forget_failures=retry_failed) as journal:
        return asyncio.run(run(journal))
