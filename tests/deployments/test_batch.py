"""`glyph batch`: each question answered once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from deployments.batch import asking
from deployments.batch.asking import BatchEndpoint, BatchOptions, EndpointLostError
from deployments.batch.inputs import batch_files, batch_questions
from deployments.batch.journal import Journal, Key
from deployments.batch.run import Batch, BatchReport
from deployments.cli import app
from deployments.cli_batch import show_report
from glyph_core.config import StoreConfig
from glyph_core.errors import InvalidRequestError, StageError
from tests.deployments.echo import EchoDecoder, echo_gateway

QUESTIONS = ["What is the fee?", "Wer zahlt?", "甲方是谁？"]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def pairs_of(path: Path) -> list[tuple[str, str]]:
    return [(line["file"], line["question"]) for line in lines_of(path)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    for name in ("b.txt", "a.txt", "deep/c.txt", ".hidden/d.txt", ".e.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    return folder


class Echo:
    """An endpoint in this process, and batches against it."""

    def __init__(self, tmp_path: Path) -> None:
        self.decoder = EchoDecoder(answer_s=0.0)
        self.out = tmp_path / "answers.jsonl"
        self.told: list[tuple[int, int]] = []
        self._gateway = echo_gateway(self.decoder, StoreConfig(path=str(tmp_path / "store")))
        self.files = self._gateway.files

    @asynccontextmanager
    async def _client(self) -> Any:
        api = self._gateway.__serve_build_asgi_app__()
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        async with (
            self._gateway.lifespan(api),
            httpx.AsyncClient(transport=transport, base_url="http://localhost/v1") as client,
        ):
            while (await client.get("http://e/healthz")).status_code != 200:
                await asyncio.sleep(0.001)
            self.decoder.requests.clear()
            yield client

    def run(
        self,
        folder: Path,
        questions: Sequence[str] = QUESTIONS,
        *,
        patience_s: float = 5.0,
        retry_failed: bool = False,
        hook: Any = None,
    ) -> BatchReport:
        async def run(journal: Journal) -> BatchReport:
            async with self._client() as client:
                if hook:
                    client.event_hooks = {"request": [hook]}
                endpoint = BatchEndpoint(client, BatchOptions(system="Briefly."), patience_s)
                tell = lambda done, of: self.told.append((done, of))  # noqa: E731
                return await Batch(batch_files(folder), questions, journal, endpoint, 2, tell).run()

        with Journal(self.out, forget_failures=retry_failed) as journal:
            return asyncio.run(asyncio.wait_for(run(journal), 300))


@pytest.fixture
def echo(tmp_path: Path) -> Echo:
    return Echo(tmp_path)


def test_every_question_of_every_file(echo: Echo, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.batch.run.CLEAN_UP_S", 60.0)  # of a busy machine
    report = echo.run(folder)
    assert (report.questions, report.answered, report.failed, report.done_before) == (9, 9, 0, 0)
    names = ["a.txt", "b.txt", "deep/c.txt"]
    assert sorted(pairs_of(echo.out)) == sorted((name, question) for name in names for question in QUESTIONS)
    for line in lines_of(echo.out):
        assert line["answer"] == f"{line['question']} content of {line['file']}"
        assert (line["error"], line["model"], line["finish_reason"]) == (None, "glyph-mini", "stop")
        assert line["usage"]["total_tokens"] == 11
        assert line["glyph"]["pages"] == 1
    assert echo.decoder.requests[0].messages[0].text == "Briefly."
    assert echo.told[-1] == (9, 9)
    assert echo.files.list_after("anonymous", limit=9) == ([], False)


def test_what_is_answered_is_not_asked_again(echo: Echo, folder: Path) -> None:
    echo.run(folder)
    before = echo.out.read_bytes()
    report = echo.run(folder)
    assert (report.answered, report.done_before) == (0, 9)
    assert echo.decoder.requests == []
    assert echo.out.read_bytes() == before
    (folder / "a.txt").write_text("another text")
    report = echo.run(folder, [*QUESTIONS, "When?"])
    assert (report.answered, report.done_before) == (6, 6)
    assert [line["answer"] for line in lines_of(echo.out)].count("When? another text") == 1


def test_a_torn_last_line_is_asked_again(echo: Echo, folder: Path) -> None:
    echo.run(folder)
    whole = echo.out.read_bytes()
    *_, last = whole.splitlines()
    for cut in (1, 2, 40, len(last), len(last) + 1):
        echo.out.write_bytes(whole[:-cut])
        report = echo.run(folder)
        assert report.answered == (cut > 1)  # without its line end a line is still whole
        assert sorted(pairs_of(echo.out)) == sorted(set(pairs_of(echo.out)))
        assert len(pairs_of(echo.out)) == 9


def test_errors_belong_to_their_file(echo: Echo, folder: Path) -> None:
    (folder / "archive.zip").write_bytes(b"PK\x03\x04")
    (folder / "dangling.txt").symlink_to(folder / "nowhere")
    report = echo.run(folder)
    assert (report.answered, report.failed, report.questions) == (9, 6, 15)
    codes = {line["file"]: line["error"]["code"] for line in lines_of(echo.out) if line["error"]}
    assert codes == {"archive.zip": "unsupported_document", "dangling.txt": "invalid_request"}
    assert report.errors == {"unsupported_document": 3, "invalid_request": 3}
    again = echo.run(folder)
    assert (again.done_before, again.failed_before, again.failed) == (15, 6, 0)
    assert again.errors == report.errors
    (folder / "archive.zip").write_bytes(b"no archive")
    (folder / "dangling.txt").unlink()
    (folder / "dangling.txt").write_text("here")
    report = echo.run(folder, retry_failed=True)
    assert (report.answered, report.failed, report.done_before) == (6, 0, 9)
    assert [line for line in lines_of(echo.out) if line["error"]] == []
    assert len(lines_of(echo.out)) == 15


def test_a_file_that_the_endpoint_lost_is_sent_again(echo: Echo, folder: Path) -> None:
    num_lost = 0

    async def lose(request: httpx.Request) -> None:
        nonlocal num_lost
        if request.url.path.endswith("/chat/completions") and num_lost < 2:
            num_lost += 1
            for file in echo.files.list_after("anonymous", limit=9)[0]:
                echo.files.delete("anonymous", file.id)

    assert echo.run(folder, hook=lose).answered == 9


def test_what_passes_is_waited_for(echo: Echo, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_WAIT_S", 0.001)
    num_failures = 0

    async def fail(request: httpx.Request) -> None:
        nonlocal num_failures
        if not request.url.path.endswith("/models") and num_failures < 6:
            num_failures += 1
            raise httpx.ConnectError("away", request=request)

    assert echo.run(folder, hook=fail).answered == 9
    assert num_failures == 6


def test_an_endpoint_that_stays_away_ends_the_run_and_the_next_goes_on(
    echo: Echo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FIRST_WAIT_S", 0.001)
    num_asked = 0

    async def die(request: httpx.Request) -> None:
        nonlocal num_asked
        num_asked += request.url.path.endswith("/chat/completions")
        if num_asked > 4:
            raise httpx.ReadError("gone", request=request)

    with pytest.raises(EndpointLostError, match="goes on from here"):
        echo.run(folder, hook=die, patience_s=0.05)
    assert len(lines_of(echo.out)) == 4
    assert echo.run(folder).answered == 5
    assert len(set(pairs_of(echo.out))) == len(pairs_of(echo.out)) == 9


def test_nobody_there_is_told_at_once(echo: Echo, folder: Path) -> None:
    async def away(request: httpx.Request) -> None:
        raise httpx.ConnectError("away", request=request)

    with pytest.raises(StageError, match="is `glyph serve` running there"):
        echo.run(folder, hook=away, patience_s=60)


def test_one_run_at_a_time_writes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Journal(path) as journal:
        journal.append(Key("a", "d", "q"), {"answer": None, "error": {"code": "x"}})
        with pytest.raises(InvalidRequestError, match="another `glyph batch` is writing"):
            Journal(path)
    with Journal(path, forget_failures=True) as journal:
        assert journal.done == {}
        with pytest.raises(InvalidRequestError, match="another `glyph batch` is writing"):
            Journal(path)
        journal.append(Key("a", "d", "q"), {"answer": "yes", "error": None})
    assert [line["answer"] for line in lines_of(path)] == ["yes"]


@pytest.mark.parametrize("content", ["my notes\n", '{"a": 1}\n', "[]\n{}\n"])
def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(InvalidRequestError, match=r"line 1 of .* is no answer"):
        Journal(path)
    assert path.read_text() == content


def test_a_list_of_files_and_the_questions(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a.txt\n\n  b c.txt \r\na.txt\n")
    assert [(file.name, file.path) for file in batch_files(tmp_path / "list")] == [
        ("a.txt", Path("a.txt")), ("b c.txt", Path("b c.txt")),
    ]  # fmt: skip
    assert batch_questions(tmp_path / "list") == ["a.txt", "b c.txt"]
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "folder").mkdir()
    for call in (lambda: batch_questions(tmp_path / "empty"), lambda: batch_files(tmp_path / "folder"),
                 lambda: batch_questions(tmp_path / "nowhere"), lambda: batch_files(tmp_path / "nowhere")):  # fmt: skip
        with pytest.raises(InvalidRequestError):
            call()


def test_earlier_errors_are_told_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "answers.jsonl"
    errors = Counter({"unsupported_document": 3, "invalid_request": 1})
    report = BatchReport(15, answered=2, failed=1, done_before=12, failed_before=3, errors=errors)
    with pytest.raises(typer.Exit) as ended:
        show_report(report, out, as_json=False)
    assert ended.value.exit_code == 1
    said = capfd.readouterr()
    assert said.out == f"answers: 2 of 15, 9 answered before\nfile: {out}\n"
    assert "4 questions have an error instead of an answer" in said.err
    assert "(1 now, 3 in earlier runs; unsupported_document 3×, invalid_request 1×)" in said.err
    assert "--retry-failed" in said.err
    show_report(BatchReport(9, done_before=9), out, as_json=True)
    told = capfd.readouterr()
    assert json.loads(told.out)["failed_before"] == 0
    assert told.err == ""


def test_the_command_says_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "q").write_text("What?\n")
    arguments = ["batch", str(folder), "--questions", str(tmp_path / "q"), "--out", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(app, [*arguments, "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "stage_failed"
    assert CliRunner().invoke(app, arguments[:2]).exit_code == 2
