"""Renderer, encoder and decoder wired together in one process, around fakes of fixed cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deployments.messages import newest_progress
from deployments.protocol import ServedRequest
from deployments.refusals import accepted
from glyph_core.config import CreditConfig
from glyph_core.errors import ContextLengthError, EmptyDocumentError, StageError
from glyph_core.types import Answer, AnswerEvent, Progress, TextDelta
from glyph_core.vision.feature_store import FeatureStore
from tests.deployments.fakes import (
    FakeChain,
    FakeEngine,
    FakeVisionEncoder,
    range_of,
    request_about,
    stored,
)

SMALL = CreditConfig(
    pages_per_render_call=2, render_calls=2, pages_per_encode_call=4, encode_calls=2, pages_per_message=2
)


async def events_of(chain: FakeChain, request: ServedRequest) -> list[AnswerEvent]:
    return [event async for message in chain.decoder.answer(request) for event in accepted(message)]


def run(test: Coroutine[Any, Any, None]) -> None:
    """Every test ends within seconds: what would hang fails."""
    asyncio.run(asyncio.wait_for(test, 20))


def test_events_come_in_order_and_end_with_the_answer() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL)
        request = request_about(5)
        events = await events_of(chain, request)
        assert isinstance(events[0], Progress)
        answer = events[-1]
        assert isinstance(answer, Answer)
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.text == "fine"
        encoded = [event.num_pages_encoded for event in events if isinstance(event, Progress)]
        assert encoded == sorted(encoded)
        assert encoded[-1] == 5
        assert answer.num_pages == 5
        assert answer.usage.num_text_tokens == 125  # 500 characters, four a token
        assert answer.timings.prefill_s == 0.5

    run(test())


def test_every_page_of_every_document_reaches_its_place() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL)
        request = request_about(5, 1, 9)
        await events_of(chain, request)
        fed = chain.engine.fed[f"{request.request_id}/0"]
        assert [fed[number] for number in range(15)] == [*range(5), 0, *range(9)]

    run(test())


def test_only_the_pages_that_are_asked_for_are_read_and_counted() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL)
        request = replace(request_about(9, 2, 5), pages=((1, 2, 7), None, (4,)))
        answer = (await events_of(chain, request))[-1]
        assert isinstance(answer, Answer)
        fed = chain.engine.fed[f"{request.request_id}/0"]
        assert [fed[number] for number in range(6)] == [1, 2, 7, 0, 1, 4]
        assert (chain.drawing.num_pages, answer.num_pages) == (6, 6)
        assert answer.usage.num_text_tokens == 6 * 25

    run(test())


def test_windows_are_read_one_after_another_and_no_page_is_drawn_twice() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL, window_pages=4, feature_cache_gb=1e-3)
        events = await events_of(chain, request_about(10))
        answer = events[-1]
        assert isinstance(answer, Answer)
        assert [list(pages.values()) for pages in chain.engine.fed.values()] == [
            [0, 1, 2, 3],
            [3, 4, 5, 6],
            [6, 7, 8, 9],
        ]
        assert (answer.text, answer.num_pages, chain.drawing.num_pages) == ("fine", 10, 10)
        assert answer.timings.prefill_s == 1.5
        # two windows of "fine" and its end, before the third
        assert events[-2] == Progress(10, 10, 10, 10, num_windows=3, num_windows_read=2)

    run(test())


def test_a_document_is_counted_once_for_many_questions() -> None:
    async def test() -> None:
        chain = FakeChain()
        answers = [(await events_of(chain, request_about(3, 4)))[-1] for _ in range(3)]
        assert [answer.usage.num_text_tokens for answer in answers if isinstance(answer, Answer)] == [175] * 3
        assert chain.num_counts == 2

    run(test())


def test_features_that_the_engine_refuses_fail_their_request() -> None:
    async def test() -> None:
        chain = FakeChain()
        chain.vision._features = lambda page: torch.zeros(16, 5)  # type: ignore[method-assign]
        with pytest.raises(StageError, match="another width"):
            await events_of(chain, request_about(2))
        assert (await chain.decoder.stats()).engine.num_running == 0
        assert chain.engine.num_aborted == 1
        await chain.decoder.check_health()

    run(test())


def test_pages_that_were_seen_are_neither_drawn_nor_encoded_again() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL, feature_cache_gb=1e-3)
        await events_of(chain, request_about(3))
        again = request_about(3, 5)
        await events_of(chain, again)
        assert chain.drawing.num_pages == 8
        assert sum(chain.vision.batches) == 8
        fed = chain.engine.fed[f"{again.request_id}/0"]
        assert [fed[number] for number in range(8)] == [*range(3), *range(5)]

    run(test())


def test_pages_that_were_seen_before_a_restart_come_from_disk(tmp_path: Path) -> None:
    async def test() -> None:
        first = FakeChain(credit_config=SMALL, feature_store=FeatureStore(tmp_path, 10**6))
        expected = (await events_of(first, request_about(3)))[-1]
        while len([path for path in tmp_path.iterdir() if not path.suffix]) < 3:  # they are written behind its back
            await asyncio.sleep(0.01)
        again = FakeChain(credit_config=SMALL, feature_store=FeatureStore(tmp_path, 10**6))
        request = request_about(3)
        answer = (await events_of(again, request))[-1]
        assert (again.drawing.num_pages, again.vision.batches) == (0, [])
        assert [again.engine.fed[f"{request.request_id}/0"][number] for number in range(3)] == [0, 1, 2]
        assert isinstance(answer, Answer)
        assert isinstance(expected, Answer)
        assert (answer.text, answer.timings.encode_s) == (expected.text, 0)

    run(test())


def test_a_page_that_two_questions_want_at_once_is_drawn_and_encoded_once() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL, page_s=0.002)
        both = [request_about(30), request_about(30)]
        answers = [events[-1] for events in await asyncio.gather(*(events_of(chain, request) for request in both))]
        assert chain.drawing.num_pages == sum(chain.vision.batches) == 30
        for request in both:
            assert [chain.engine.fed[f"{request.request_id}/0"][number] for number in range(30)] == list(range(30))
        shares = [answer.timings.render_s for answer in answers if isinstance(answer, Answer)]
        assert sum(shares) == pytest.approx(chain.drawing.drawn_s, rel=0.5)  # counted for one of them, not for both
        assert (await chain.encoder.stats()).num_pages_kept == 30

    run(test())


def test_whoever_waits_for_anothers_pages_gets_them_when_the_other_leaves() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL, page_s=0.005)
        first = asyncio.create_task(events_of(chain, request_about(40)))
        await asyncio.sleep(0.02)
        second = request_about(40)
        waiting = asyncio.create_task(events_of(chain, second))
        await asyncio.sleep(0.02)
        first.cancel()
        assert isinstance((await waiting)[-1], Answer)
        assert [chain.engine.fed[f"{second.request_id}/0"][number] for number in range(40)] == list(range(40))
        await asyncio.wait([first])
        assert not chain.encoder._promises

    run(test())


def test_a_page_that_breaks_the_encoder_fails_all_who_want_it() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL, vision=FakeVisionEncoder(batch_s=0.005, fails_on=3))
        both = await asyncio.gather(*(events_of(chain, request_about(5)) for _ in range(2)), return_exceptions=True)
        assert [type(outcome) for outcome in both] == [RuntimeError, RuntimeError]
        assert not chain.encoder._promises

    run(test())


def test_a_small_question_waits_for_no_giants_pages() -> None:
    """Five giants have up to 32 pages each before the vision tower, 20 batches; the small one's go into the next."""

    async def test() -> None:
        chain = FakeChain(vision=FakeVisionEncoder(batch_s=0.02))
        giants = [asyncio.create_task(events_of(chain, request_about(1000 + number))) for number in range(5)]
        window = chain.credit_config.encode_calls * chain.credit_config.pages_per_encode_call
        most_waiting = 0
        while len(chain.vision.batches) < 12 or most_waiting <= 2 * window:
            most_waiting = max(most_waiting, (await chain.encoder.stats()).num_pages_waiting)
            await asyncio.sleep(0.005)
        before = len(chain.vision.batches)
        assert isinstance((await events_of(chain, request_about(2)))[-1], Answer)
        assert len(chain.vision.batches) - before <= 10
        assert most_waiting <= 5 * window
        for giant in giants:
            giant.cancel()
        await asyncio.wait(giants)

    run(test())


def test_progress_that_was_overtaken_is_not_sent() -> None:
    first, second, text = Progress(3, 1, 1, 0), Progress(3, 2, 2, 0), TextDelta("so")
    assert newest_progress((first, second, text, first, second)) == (second, text, second)
    assert newest_progress((first,)) == (first,)
    assert newest_progress(()) == ()


def test_calls_of_slow_pages_have_fewer_of_them_and_are_more_and_the_last_fewest() -> None:
    async def test() -> None:
        chain = FakeChain(page_s=0.02)
        asked: list[int] = []
        open_calls: list[int] = []
        draw = chain.renderer.render_range

        async def render_range(pages):  # type: ignore[no-untyped-def]
            asked.append(len(pages))
            async with aclosing(draw(pages)) as messages:
                async for message in messages:
                    open_calls.append((await chain.renderer.stats()).num_calls_open)
                    yield message

        chain.renderer.render_range = render_range  # type: ignore[assignment,method-assign]
        credits = chain.credit_config.model_copy(update={"encode_calls": 1, "pages_per_encode_call": 16})
        chain.decoder._credits = credits  # one range of the encoder's at a time
        await events_of(chain, request_about(16))
        assert asked == [6, 6, 4]  # nothing is known yet
        assert max(open_calls) <= credits.render_calls
        open_calls.clear()
        await events_of(chain, request_about(64))
        assert sum(asked) == 16 + 64
        assert max(asked[-16:]) <= 2
        assert asked[-4:] == [1] * 4  # the last page is waited for
        # One that has sent its last page may end a moment after the next has begun.
        assert credits.render_calls < max(open_calls) <= 2 * credits.render_calls + 1

    run(test())


def test_ranges_are_drawn_in_the_order_in_which_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.drawing.SLOW_S", 60.0)  # on a busy machine 20 ms take a while

    async def test() -> None:
        chain = FakeChain(page_s=0.02)
        drawn: list[int] = []

        async def draw(start: int) -> None:
            async for message in chain.renderer.render_range(range_of(4, stored(b"20"), start)):
                drawn.extend(page.page.plan.page_index for page in message)

        await asyncio.gather(*(draw(start) for start in (8, 0, 12, 4)))
        assert drawn == [*range(8, 12), *range(4), *range(12, 16), *range(4, 8)]

    run(test())


def test_a_slow_page_keeps_nobody_waiting() -> None:
    async def test() -> None:
        chain = FakeChain(page_s=0.01)
        quick_draw = chain.drawing.render

        def render(source, start, stop):  # type: ignore[no-untyped-def]
            if start == 0:
                time.sleep(1.5)
            return quick_draw(source, start, stop)

        chain.drawing.render = render
        slow = asyncio.create_task(anext(chain.renderer.render_range(range_of(2, stored(b"20")))))
        await asyncio.sleep(0.01)
        assert await anext(chain.renderer.render_range(range_of(2, stored(b"20"), 5)))
        assert not slow.done()
        await slow

    run(test())


def test_requests_share_batches() -> None:
    async def test() -> None:
        chain = FakeChain(vision=FakeVisionEncoder(batch_s=0.2))
        await asyncio.gather(*(events_of(chain, request_about(n)) for n in (4, 5, 6, 7)))
        assert sum(chain.vision.batches) == 22
        assert len(chain.vision.batches) < 8

    run(test())


def test_a_document_without_pages_to_draw_is_refused_before_the_first_event() -> None:
    async def test() -> None:
        chain = FakeChain()
        request = ServedRequest(**{**_fields(request_about(1)), "documents": (stored(b"", "nothing.txt"),)})
        with pytest.raises(EmptyDocumentError, match=r"nothing\.txt"):
            accepted(await anext(chain.decoder.answer(request)))
        assert (await chain.decoder.stats()).num_requests == 0

    run(test())


def test_what_the_engine_refuses_is_raised_before_the_first_event() -> None:
    async def test() -> None:
        with pytest.raises(ContextLengthError):
            accepted(await anext(FakeChain().decoder.answer(request_about(1, max_tokens=666))))

    run(test())


def test_a_page_that_breaks_the_encoder_fails_its_own_request_only() -> None:
    async def test() -> None:
        chain = FakeChain(vision=FakeVisionEncoder(batch_s=0.01, fails_on=6))
        good, bad = await asyncio.gather(
            events_of(chain, request_about(5)), events_of(chain, request_about(7)), return_exceptions=True
        )
        assert isinstance(good, list)
        assert isinstance(good[-1], Answer)
        assert isinstance(bad, RuntimeError)  # Serve wraps it; see test_faults
        assert (await chain.decoder.stats()).engine.num_running == 0
        assert chain.engine.num_aborted == 1

    run(test())


# Its thread ends by the error, and pytest would tell of that.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_engine_that_dies_fails_all_who_wait_and_all_who_come() -> None:
    async def test() -> None:
        chain = FakeChain(engine=FakeEngine(dies_at_step=2))
        outcomes = await asyncio.gather(
            *(events_of(chain, request_about(n)) for n in (1, 2, 3)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [StageError] * 3
        assert "RuntimeError: out of memory" in str(outcomes[0])
        with pytest.raises(StageError, match="out of memory"):
            await anext(chain.decoder.answer(request_about(1)))
        with pytest.raises(StageError, match="out of memory"):
            await chain.decoder.check_health()

    run(test())


def test_leaving_in_the_middle_frees_everything() -> None:
    async def test() -> None:
        chain = FakeChain(page_s=0.02)
        events = chain.decoder.answer(request_about(100))
        async with aclosing(events):
            async for event, *_ in events:
                if isinstance(event, Progress) and event.num_pages_encoded >= 3:
                    break
        await assert_all_is_free(chain)

    run(test())


def test_leaving_a_range_in_the_middle_stops_what_it_pulls() -> None:
    async def test() -> None:
        chain = FakeChain(page_s=0.02)
        messages = chain.encoder.encode_range(range_of(100, stored(b"100")))
        await anext(messages)
        await messages.aclose()
        await assert_all_is_free(chain)

    run(test())


async def assert_all_is_free(chain: FakeChain) -> None:
    await asyncio.sleep(0.06)  # what a thread is drawing is finished
    num_drawn = chain.drawing.num_pages
    stats = await chain.decoder.stats()
    assert (stats.num_requests, stats.engine.num_running) == (0, 0)
    assert (await chain.renderer.stats()).num_calls_open == 0
    await asyncio.sleep(0.2)
    assert chain.drawing.num_pages == num_drawn


def test_cancelling_while_the_engine_takes_the_request_leaves_nothing_behind() -> None:
    async def test() -> None:
        chain = FakeChain()
        for delay_s in (0.0, 0.0005, 0.001, 0.002, 0.005):
            task = asyncio.create_task(events_of(chain, request_about(50)))
            await asyncio.sleep(delay_s)
            task.cancel()
            await asyncio.wait([task])
            assert (await chain.decoder.stats()).engine.num_running == 0

    run(test())


def test_an_engine_that_does_not_get_on_is_not_fed_beyond_the_credits() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL, engine=FakeEngine(is_stuck=True))
        request = asyncio.create_task(events_of(chain, request_about(100)))
        window = SMALL.encode_calls * SMALL.pages_per_encode_call
        while not chain.engine.fed or len(next(iter(chain.engine.fed.values()))) < window:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # a chain of no cost would be through in a tenth of it
        held = len(next(iter(chain.engine.fed.values())))
        assert held == window
        assert chain.drawing.num_pages <= 2 * window
        request.cancel()

    run(test())


def test_cached_pages_that_the_engine_gives_up_are_brought_after_all() -> None:
    async def test() -> None:
        window = SMALL.encode_calls * SMALL.pages_per_encode_call
        chain = FakeChain(credit_config=SMALL, engine=FakeEngine(num_cached=10, gives_up_at=window))
        request = request_about(60)
        answer = (await events_of(chain, request))[-1]
        assert isinstance(answer, Answer)
        assert answer.text == "fine"
        order = list(chain.engine.fed[f"{request.request_id}/0"])
        assert order[:window] == list(range(10, 10 + window))
        assert max(order[: window + 20]) < 30  # the earlier ones came next, not after all the others

    run(test())


@pytest.mark.parametrize("num_pages", [1, 2, 3, 7])
def test_a_range_comes_whole_and_in_messages_of_no_more_than_the_agreed_size(num_pages: int) -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL)
        messages = [message async for message in chain.encoder.encode_range(range_of(num_pages, stored(b"20"), 3))]
        indices = [page.plan.page_index for message in messages for page in message]
        assert indices == list(range(3, 3 + num_pages))
        assert all(len(message) <= 2 for message in messages)

    run(test())


def test_a_renderer_that_dies_in_the_middle_is_unseen() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=SMALL)
        healthy = chain.renderer.render_range
        chain.renderer.render_range = dies_once(healthy)  # type: ignore[method-assign]
        request = request_about(9)
        assert isinstance((await events_of(chain, request))[-1], Answer)
        fed = chain.engine.fed[f"{request.request_id}/0"]
        assert [fed[number] for number in range(9)] == list(range(9))

    run(test())


def dies_once(render_range):  # type: ignore[no-untyped-def]
    from ray.exceptions import ActorDiedError

    deaths = iter([True])

    async def render(pages):  # type: ignore[no-untyped-def]
        async for message in render_range(pages):
            yield message
            if pages.start > 0 and next(deaths, False):
                raise ActorDiedError

    return render


def _fields(request: ServedRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in ServedRequest.__slots__}


def test_pages_are_never_read_by_another_model_than_the_one_that_encoded_them() -> None:
    async def test() -> None:
        encoder = FakeChain().encoder
        with pytest.raises(StageError, match="changing its model"):
            await anext(encoder.encode_range(replace(range_of(2), model="another")))

    asyncio.run(test())
