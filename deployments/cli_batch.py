"""``glyph batch``: many questions about many documents, at an endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import typer

from deployments.batch.asking import BatchEndpoint, BatchOptions
from deployments.batch.inputs import batch_files, batch_questions
from deployments.batch.journal import Journal
from deployments.batch.run import Batch, BatchReport, OnProgress
from deployments.cli_console import FAILURE, print_json, print_lines, print_warnings
from deployments.client import async_endpoint_client, root_of


def show_report(report: BatchReport, out: Path, *, as_json: bool) -> None:
    """Ends the program with status 1 where a question has no answer, of this run or of one before."""
    if as_json:
        print_json(report.as_json())
    else:
        answered_before = report.done_before - report.failed_before
        before = f", {answered_before} answered before" if report.done_before else ""
        print_lines({"answers": f"{report.answered} of {report.questions}{before}", "file": str(out)})
    print_warnings(_failures(report, out))
    if report.failed or report.failed_before:
        raise typer.Exit(FAILURE)


def _failures(report: BatchReport, out: Path) -> Iterator[str]:
    if not report.failed and not report.failed_before:
        return
    codes = ", ".join(f"{code} {count}×" for code, count in report.errors.most_common())
    when = f"{report.failed} now, {report.failed_before} in earlier runs" if report.failed_before else "all now"
    number = report.failed + report.failed_before
    subject = "1 question has" if number == 1 else f"{number} questions have"
    yield (f"{subject} an error instead of an answer in {out} ({when}; {codes}); `--retry-failed` asks these again")


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
