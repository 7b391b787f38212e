"""``glyph bench serve``: who asks when, what is noted of an answer, and what the figures come to."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from itertools import islice, pairwise
from pathlib import Path
from statistics import fmean

import httpx
import pytest

from deployments.bench.serve_load import Level, LoadGenerator, Sample, measure_endpoint
from deployments.bench.serve_picture import draw
from deployments.bench.serve_report import Objective, as_text, level_report, percentiles_ms, report_of
from deployments.bench.workload import Ask, Workload, documents_in
from glyph_core.errors import InvalidRequestError, StageError
from glyph_core.types import DocumentSource

WORKLOAD = Workload(
    (DocumentSource("a.txt", b"one"), DocumentSource("b.pdf", b"%PDF\xff\0")), ("Who?", "When?"), 8, False, seed=3
)


def test_poisson_arrivals_come_at_their_rate_and_the_seed_decides_them() -> None:
    asks = list(WORKLOAD.poisson(20.0, 100.0))
    gaps = [later.at_s - earlier.at_s for earlier, later in pairwise(asks)]
    assert fmean(gaps) == pytest.approx(1 / 20, rel=0.1)
    assert fmean(gap > 1 / 20 for gap in gaps) == pytest.approx(0.368, abs=0.04)  # of an exponential distribution
    assert asks == list(WORKLOAD.poisson(20.0, 100.0))
    assert {(ask.document.name, ask.question) for ask in asks} == {
        (name, question) for name in ("a.txt", "b.pdf") for question in WORKLOAD.questions
    }
    assert list(islice(WORKLOAD.endless(), 50)) == list(islice(WORKLOAD.endless(), 50))


def test_a_fresh_text_is_never_the_same_and_other_files_stay_as_they_are() -> None:
    fresh = Workload(WORKLOAD.documents, WORKLOAD.questions, 8, True, seed=3)

    def file_of(document: DocumentSource, number: int) -> str:
        body = fresh.body(Ask(number, 0.5 * number, document, "Who?"), "m")
        return str(body["messages"][0]["content"][0]["file"]["file_data"])

    text, pdf = WORKLOAD.documents
    assert file_of(text, 1) != file_of(text, 2)
    assert file_of(pdf, 1) == file_of(pdf, 2)


def test_documents_are_files_and_what_folders_hold(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    assert [document.name for document in documents_in([tmp_path])] == ["b.txt", "a.txt"]
    assert {document.name for document in documents_in([])} >= {"service_agreement.md", "field_station_handbook.txt"}
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        documents_in([tmp_path / "nowhere"])
    with pytest.raises(InvalidRequestError, match="no file"):
        documents_in([_empty(tmp_path)])


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


class SlowEndpoint(httpx.AsyncBaseTransport):
    """Answers with three tokens, 20 ms apart, after 50 ms; every fourth request is refused, every fifth breaks off."""

    def __init__(self) -> None:
        self.num_requests = self.num_open = self.max_open = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.num_requests += 1
        if self.num_requests % 4 == 0:
            return httpx.Response(429, json={"error": {"code": "overloaded", "message": "full"}})
        is_cut = self.num_requests % 5 == 0
        return httpx.Response(200, stream=_Chunks(self, is_cut))


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, endpoint: SlowEndpoint, is_cut: bool) -> None:
        self.endpoint, self.is_cut = endpoint, is_cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.endpoint.num_open += 1
        self.endpoint.max_open = max(self.endpoint.max_open, self.endpoint.num_open)
        yield _event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        await asyncio.sleep(0.05)
        for token in "abc":
            yield _event({"choices": [{"delta": {"content": token}}], "glyph": {"pages": 2}})
            await asyncio.sleep(0.02)
        usage = {"completion_tokens": 3, "prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}}
        yield _event({"choices": [], "usage": usage})
        self.endpoint.num_open -= 1
        if not self.is_cut:
            yield b"data: [DONE]\n\n"


def _event(chunk: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def run(level: Level, duration_s: float) -> tuple[list[Sample], SlowEndpoint]:
    endpoint = SlowEndpoint()

    async def test() -> list[Sample]:
        async with httpx.AsyncClient(transport=endpoint, base_url="http://glyph") as client:
            return await LoadGenerator(client, "m", WORKLOAD).run(level, duration_s)

    return asyncio.run(test()), endpoint


def test_an_open_loop_asks_when_it_is_time_whatever_is_open() -> None:
    samples, endpoint = run(Level(rate_per_s=60), 1.0)
    assert [sample.begun_s for sample in samples] == [ask.at_s for ask in WORKLOAD.poisson(60, 1.0)]
    assert endpoint.max_open > 3
    assert {sample.error for sample in samples} == {None, "overloaded", "cut"}
    answered = next(sample for sample in samples if sample.error is None)
    assert answered.ttft_s is not None
    assert answered.ttft_s >= 0.05
    assert answered.tpot_s is not None
    assert answered.tpot_s >= 0.02
    assert (answered.num_prompt_tokens, answered.num_cached_tokens, answered.num_pages) == (10, 4, 2)


def test_a_closed_loop_never_has_more_open_than_clients() -> None:
    samples, endpoint = run(Level(num_clients=3), 0.6)
    assert endpoint.max_open == 3
    assert len(samples) > 6


def test_goodput_counts_what_was_answered_in_time() -> None:
    in_time = Sample(0.0, 0.0, 0.1, 0.3, None, num_completion_tokens=3)
    late = Sample(1.0, 1.0, 2.5, 2.7, None, num_completion_tokens=3)
    slow = Sample(2.0, 2.0, 2.1, 4.0, None, num_completion_tokens=3)
    refused = Sample(3.0, 3.0, None, 3.01, "overloaded")
    report = level_report(Level(rate_per_s=1), [in_time, late, slow, refused], Objective(1000, 200), duration_s=4.0)
    assert (report["requests"], report["answered"], report["errors"]) == (4, 3, {"overloaded": 1})
    assert report["answered_per_s"] == 0.75
    assert report["goodput_per_s"] == 0.25
    assert report["ttft_ms"] == {"p50": 100.0, "p90": 1500.0, "p95": 1500.0, "p99": 1500.0}
    assert report["refusal_ms"]["p99"] == 10.0


def test_percentiles_are_nearest_ranks() -> None:
    values = [number / 1000 for number in range(1, 201)]
    random.Random(0).shuffle(values)
    assert percentiles_ms(values) == {"p50": 100, "p90": 180, "p95": 190, "p99": 198}
    assert percentiles_ms([0.004]) == {"p50": 4, "p90": 4, "p95": 4, "p99": 4}
    assert percentiles_ms([]) is None


def test_the_report_as_text_and_as_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    measured = [(level, run(level, 0.4)[0]) for level in (Level(rate_per_s=20), Level(num_clients=2))]
    refused = Sample(0.0, 0.0, None, 0.01, "overloaded")
    measured.append((Level(rate_per_s=99), [refused]))  # nothing to rank
    report = report_of("http://glyph", "m", WORKLOAD, Objective(2000, 200), 0.4, measured)
    text = as_text(report)
    assert max(map(len, text.splitlines())) <= 100
    assert "20/s" in text
    assert "2 at once" in text
    assert "not answered: 1 overloaded" in text
    draw(report, measured, tmp_path / "load.png")
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")


def test_nobody_serves() -> None:
    with pytest.raises(StageError, match="is `glyph serve` running there"):
        measure_endpoint("http://127.0.0.1:9", WORKLOAD, [Level(num_clients=1)], 1.0, 0, lambda phase: None)
