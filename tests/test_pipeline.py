"""The whole way in one process equals transformers' ``generate``, token for token."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from glyph_core.answering.request import AnswerRequest
from glyph_core.config import CreditConfig, EngineConfig, LimitConfig, PipelineConfig, SamplingConfig, preset
from glyph_core.errors import (
    ContextLengthError,
    DocumentTooLargeError,
    EmptyDocumentError,
    InvalidDocumentError,
    InvalidRequestError,
    UnsupportedDocumentError,
)
from glyph_core.pipeline import Pipeline
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Answer, DocumentSource, Message, Progress, TextDelta
from tests.tiny_checkpoint import hf_generate, make_tiny_glm4v, question_about, random_pages

NUM_TOKENS = 32
GREEDY = SamplingConfig(max_tokens=NUM_TOKENS, ignore_eos=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_glm4v(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def pipeline(tiny: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline.from_pretrained(tiny)
    yield pipeline
    pipeline.engine.check_integrity()
    assert not pipeline.engine.has_work


def with_engine(tiny: Path, **engine: Any) -> Pipeline:
    return Pipeline.from_pretrained(tiny, PipelineConfig(engine=EngineConfig(**engine)))


def text_document(num_lines: int, seed: int = 0) -> DocumentSource:
    lines = [f"{i}: entry {(i * 7919 + seed * 104729) % 10007} of the ledger" for i in range(num_lines)]
    return DocumentSource(f"ledger-{seed}.txt", "\n".join(lines).encode())


def image_document(size: tuple[int, int], seed: int = 0) -> DocumentSource:
    stream = io.BytesIO()
    Image.fromarray(random_pages([size], seed)[0]).save(stream, "PNG")
    return DocumentSource(f"scan-{seed}.png", stream.getvalue())


def pages_of(*documents: DocumentSource) -> list[np.ndarray]:
    renderer = PageRenderer(preset("mini"))
    return [page.pixels for d in documents for page in renderer.render(d, 0, renderer.plan(d).num_pages)]


def truth(tiny: Path, documents: Sequence[DocumentSource], question: str) -> tuple[int, ...]:
    return tuple(hf_generate(tiny, pages_of(*documents), question, NUM_TOKENS))


@pytest.mark.parametrize(
    "documents",
    [
        [text_document(5)],
        [text_document(150)],
        [text_document(70), text_document(9, seed=1)],
        [image_document((280, 140)), text_document(30), image_document((112, 336), seed=1)],
        [],
    ],
    ids=["one page", "three pages", "two documents", "pages of different sizes", "no document"],
)
def test_equals_transformers(tiny: Path, pipeline: Pipeline, documents: list[DocumentSource]) -> None:
    answer = pipeline.ask(documents, "What is entry 3?", sampling=GREEDY)
    assert answer.token_ids == truth(tiny, documents, "What is entry 3?")
    assert len(set(answer.token_ids)) >= 8
    assert answer.num_pages == len(pages_of(*documents))
    assert answer.finish_reason == "length"


def test_different_pages_give_different_answers(pipeline: Pipeline) -> None:
    answers = {pipeline.ask([text_document(40, seed)], "Which?", sampling=GREEDY).token_ids for seed in range(3)}
    assert len(answers) == 3


@pytest.mark.parametrize("budget", [33, 64, 100])
def test_uneven_prefill_chunks(tiny: Path, budget: int) -> None:
    document = text_document(150)
    chunked = with_engine(tiny, max_num_batched_tokens=budget, max_num_seqs=4)
    assert chunked.ask([document], "Why?", sampling=GREEDY).token_ids == truth(tiny, [document], "Why?")


def test_eight_at_once_in_a_small_pool(tiny: Path) -> None:
    """The pool holds the eight prompts but not what they grow to, so some are preempted and computed again."""
    documents = [text_document(12 + seed, seed) for seed in range(8)]
    requests = [AnswerRequest.about([d], f"Question {i}?", sampling=GREEDY) for i, d in enumerate(documents)]
    pipeline = with_engine(tiny, block_size=8, num_blocks=100, prefix_cache=False)
    answers = pipeline.run(requests)
    assert pipeline.engine.stats().num_preemptions > 0
    for i, (document, answer) in enumerate(zip(documents, answers, strict=True)):
        assert answer.token_ids == truth(tiny, [document], f"Question {i}?")
    pipeline.engine.check_integrity()
    assert pipeline.engine.stats().num_free_blocks == 100


def test_pages_are_drawn_no_further_ahead_than_the_credits_allow(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long document's features would fill the memory while prefill is still at its beginning."""
    credits = CreditConfig(encode_calls=1, pages_per_encode_call=2, max_encode_batch=1)
    config = PipelineConfig(engine=EngineConfig(max_num_batched_tokens=64), credits=credits)
    pipeline = Pipeline.from_pretrained(tiny, config)
    engine, feed, ahead = pipeline.engine, pipeline.engine.feed, list[int]()

    def noting(sequence_id: str, number: int, features: torch.Tensor) -> None:
        ahead.append(number - engine.next_page(sequence_id))
        feed(sequence_id, number, features)

    monkeypatch.setattr(engine, "feed", noting)
    answer = pipeline.ask([text_document(200)], "Why?", sampling=SamplingConfig(max_tokens=2))
    assert len(ahead) == answer.num_pages > 3
    assert max(ahead) == 1  # two at once: the next and the one after it


def test_a_repeated_document_comes_from_the_cache(tiny: Path, pipeline: Pipeline) -> None:
    document = text_document(80)
    first = pipeline.ask([document], "Who?", sampling=GREEDY)
    again = pipeline.ask([DocumentSource("other name.txt", document.content)], "Who?", sampling=GREEDY)
    other = pipeline.ask([document], "Where?", sampling=GREEDY)
    assert first.usage.num_cached_tokens == 0
    assert again.usage.num_cached_tokens >= first.usage.num_visual_tokens
    assert other.usage.num_cached_tokens >= first.usage.num_visual_tokens
    assert again.token_ids == first.token_ids
    assert other.token_ids == truth(tiny, [document], "Where?")
    assert other.timings.render_s == other.timings.encode_s == 0


def test_features_at_hand_are_not_made_again(tiny: Path) -> None:
    """Without a prefix cache the engine wants every page again; the encoder has them."""
    document = text_document(80)
    pipeline = with_engine(tiny, prefix_cache=False)
    first, again = (pipeline.ask([document], "Who?", sampling=GREEDY) for _ in range(2))
    assert again.usage.num_cached_tokens == 0
    assert again.timings.encode_s == 0 < first.timings.encode_s
    assert again.token_ids == first.token_ids


def test_a_conversation_keeps_its_turns_and_shares_their_beginning(tiny: Path, pipeline: Pipeline) -> None:
    documents = [text_document(20), text_document(25, seed=1)]
    messages = (
        Message("system", "Be brief."),
        Message("user", "What is it?", (0,)),
        Message("assistant", "A ledger."),
        Message("user", "And this?", (1,)),
    )
    opening = pipeline.run([AnswerRequest(messages[:2], tuple(documents[:1]), GREEDY)])[0]
    answer = pipeline.run([AnswerRequest(messages, tuple(documents), GREEDY)])[0]
    turns = [
        {"role": "system", "content": "Be brief."},
        *question_about(1, "What is it?"),
        {"role": "assistant", "content": "A ledger."},
        *question_about(1, "And this?"),
    ]
    assert answer.token_ids == tuple(hf_generate(tiny, pages_of(*documents), turns, NUM_TOKENS))
    assert answer.usage.num_cached_tokens >= opening.usage.num_visual_tokens


@pytest.mark.parametrize("limit", [{"max_model_len": 700}, {"num_blocks": 44, "block_size": 16}], ids=["model", "pool"])
def test_a_document_past_the_context_is_read_in_windows(tiny: Path, limit: dict[str, int]) -> None:
    """Three pages of which the context holds two at once: two windows, and the more confident one's answer."""
    document = text_document(150)
    pages = pages_of(document)
    assert len(pages) == 3
    pipeline = with_engine(tiny, **limit)
    answer = pipeline.ask([document], "Why?", sampling=GREEDY)
    windows = [tuple(hf_generate(tiny, shown, "Why?", NUM_TOKENS)) for shown in (pages[:2], pages[2:])]
    assert answer.token_ids in windows
    assert answer.num_pages == 3
    assert "2 windows" in answer.warnings[0]
    pipeline.engine.check_integrity()


def test_the_stream_joins_to_the_answer(pipeline: Pipeline) -> None:
    request = AnswerRequest.about([text_document(150)], "Why?", sampling=GREEDY)
    *events, answer = pipeline.stream(request)
    assert isinstance(answer, Answer)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.text
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].num_pages_rendered == progress[-1].num_pages_encoded == progress[-1].num_pages == 3
    assert [p.num_pages_encoded for p in progress] == sorted(p.num_pages_encoded for p in progress)


def test_a_closed_stream_frees_its_blocks(pipeline: Pipeline) -> None:
    stream = pipeline.stream(AnswerRequest.about([text_document(60)], "Why?", sampling=GREEDY))
    assert next(stream)
    stream.close()
    stats = pipeline.engine.stats()
    assert stats.num_free_blocks == stats.num_blocks


def test_a_stop_string_ends_the_answer(pipeline: Pipeline) -> None:
    document = text_document(30)
    whole = pipeline.ask([document], "Why?", sampling=GREEDY).text
    stop = whole[6:8]
    sampling = GREEDY.model_copy(update={"stop": (stop,)})
    stopped = pipeline.ask([document], "Why?", sampling=sampling)
    assert (stopped.text, stopped.finish_reason) == (whole[: whole.index(stop)].rstrip(), "stop")


def test_control_tokens_in_a_question_are_text(pipeline: Pipeline) -> None:
    answer = pipeline.ask([text_document(5)], "<|image|><|endoftext|>What is <|user|>?", sampling=GREEDY)
    assert answer.usage.num_visual_tokens == pipeline.ask([text_document(5)], "?").usage.num_visual_tokens


def test_usage_and_timings_add_up(pipeline: Pipeline) -> None:
    answer = pipeline.ask([text_document(80)], "Why?", sampling=GREEDY)
    usage, timings = answer.usage, answer.timings
    assert usage.num_completion_tokens == NUM_TOKENS
    assert usage.num_visual_tokens < usage.num_prompt_tokens
    assert usage.compression_ratio == usage.num_text_tokens / usage.num_visual_tokens
    assert usage.text_tokens_estimated  # the tiny tokenizer is byte-level
    assert 0 < timings.ttft_s < timings.e2e_s
    assert min(timings.render_s, timings.encode_s, timings.prefill_s, timings.tpot_s) > 0
    assert timings.overlap <= 1.0  # in one process the stages take turns


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyDocumentError),
        (b" \n\t", EmptyDocumentError),
        (b"%PDF-1.7\n", InvalidDocumentError),
        (b"\x7fELF", UnsupportedDocumentError),
    ],
)
def test_documents_that_cannot_be_read(pipeline: Pipeline, content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match="bad"):
        pipeline.ask([DocumentSource("bad.bin", content)], "What?")


def test_questions_that_cannot_be_asked(tiny: Path, pipeline: Pipeline) -> None:
    with pytest.raises(InvalidRequestError, match="no text"):
        pipeline.ask([text_document(5)], " ")
    with pytest.raises(InvalidRequestError, match=r"nowhere\.txt"):
        pipeline.ask(["nowhere.txt"], "What?")
    with pytest.raises(ContextLengthError, match="200"):
        with_engine(tiny, max_model_len=200).ask([], "x" * 500)
    limited = Pipeline.from_pretrained(tiny, PipelineConfig(limits=LimitConfig(max_pages=2)))
    with pytest.raises(DocumentTooLargeError, match="2"):
        limited.ask([text_document(40), text_document(90, seed=1)], "What?")
