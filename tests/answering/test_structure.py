"""JSON answers of a model that knows nothing keep to their schemas all the same."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from glyph_core.answering.calendar_dates import with_calendar_dates
from glyph_core.answering.request import AnswerRequest
from glyph_core.answering.structure import ANY_OBJECT, Frame, SchemaMask, SchemaMasks, schema_text
from glyph_core.config import EngineConfig, PipelineConfig, SamplingConfig
from glyph_core.engine.token_mask import masked
from glyph_core.errors import InvalidRequestError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.tokenizer import Tokenizer
from glyph_core.pipeline import Pipeline
from glyph_core.types import Answer
from tests.answering.schemas import random_schema
from tests.tiny_checkpoint import make_tiny_glm4v

MAX_TOKENS = 400
AT_ONCE = 25


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    engine = EngineConfig(num_blocks=1200, max_num_seqs=AT_ONCE, max_num_batched_tokens=512)
    return Pipeline.from_pretrained(make_tiny_glm4v(tmp_path_factory.mktemp("tiny")), PipelineConfig(engine=engine))


def ask(pipeline: Pipeline, schemas: list[Any], temperature: float = 1.0) -> list[Answer]:
    """``None`` among the schemas asks for anything; seeds are the numbers of the questions."""
    requests = [
        AnswerRequest.about(
            [],
            f"Question {number}?",
            sampling=SamplingConfig(
                max_tokens=MAX_TOKENS if schema else 8,
                temperature=temperature,
                seed=number,
                json_schema=schema_text(schema) if schema else None,
            ),
        )
        for number, schema in enumerate(schemas)
    ]
    return [answer for at in range(0, len(requests), AT_ONCE) for answer in pipeline.run(requests[at : at + AT_ONCE])]


def check(schemas: list[Any], answers: list[Answer]) -> Counter[str]:
    ended: Counter[str] = Counter()
    for schema, answer in zip(schemas, answers, strict=True):
        ended[answer.finish_reason] += 1
        if answer.finish_reason == "stop":
            found = json.loads(answer.text)
            jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
        elif answer.finish_reason == "length":  # it says so, and nothing else may have cut it
            assert answer.usage.num_completion_tokens == MAX_TOKENS
    return ended


def test_random_schemas(pipeline: Pipeline) -> None:
    random = Random(3)
    schemas = [random_schema(random) for _ in range(50)]
    ended = check(schemas, ask(pipeline, schemas))
    assert set(ended) <= {"stop", "length"}
    assert ended["stop"] >= 40


@pytest.mark.slow
def test_a_thousand_random_schemas(pipeline: Pipeline) -> None:
    random = Random(4)
    schemas = [random_schema(random) for _ in range(1000)]
    ended = check(schemas, ask(pipeline, schemas))
    print(dict(ended))  # noqa: T201  # the figure in docs/benchmarks.md
    assert set(ended) <= {"stop", "length"}
    assert ended["stop"] >= 800


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_with_and_without_a_schema_share_a_batch(pipeline: Pipeline, temperature: float) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    schema["additionalProperties"] = False
    together = ask(pipeline, [None, schema, None, schema, None], temperature)
    alone = [ask(pipeline, [None] * n + [s], temperature)[n] for n, s in enumerate([None, schema, None])]
    assert [answer.token_ids for answer in together[:3]] == [answer.token_ids for answer in alone]
    check([schema] * 2, [together[1], together[3]])
    assert all(answer.finish_reason == "stop" or answer.reasoning for answer in (together[1], together[3]))


def test_any_object(pipeline: Pipeline) -> None:
    for answer in ask(pipeline, [json.loads(ANY_OBJECT)] * 4):
        assert answer.text.startswith("{") or answer.reasoning
        assert answer.finish_reason == "length" or isinstance(json.loads(answer.text), dict)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 3}, "greater than maximum"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "'a'"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "foo"}, "foo"),
        ({"$ref": "#/definitions/none"}, "does not exist"),
        ({"type": "string", "pattern": "^(a"}, "regex"),
        ({"enum": ["x" * 200_000]}, "characters"),
        ([], "JSON object"),
        (nested(101), "deeper than 100 levels"),
        (nested(100_000), "deeper than 100 levels"),
    ],
)
def test_schemas_that_nothing_can_keep_to(schema: Any, fault: str) -> None:
    with pytest.raises(InvalidRequestError, match=fault) as raised:
        schema_text(schema)
    assert raised.value.param == "response_format"
    assert schema_text(nested(50))


THINK, DONE, OPEN, CLOSE, EOS = 269, 270, 271, 272, 262  # of glyph-mini's tokenizer
FRAME = Frame(frozenset({EOS}), frozenset({THINK}), frozenset({DONE}), frozenset({OPEN, CLOSE}))


def mask_of(prompt_ids: list[int]) -> tuple[SchemaMask, Tokenizer]:
    tokenizer = Tokenizer(resolve_checkpoint("glyph-mini"))
    masks = SchemaMasks(tokenizer.as_json, FRAME)
    return masks.mask('{"const": "ab"}', 288, prompt_ids), tokenizer


def allowed(mask: SchemaMask) -> set[int]:
    bits = np.zeros(9, np.int32)
    mask.fill(bits)
    return {token for token in range(288) if bits[token // 32] >> token % 32 & 1}


@pytest.mark.parametrize("opened_by", ["the prompt", "the model", "nobody"])
def test_thinking_and_frames_stand_around_the_json(opened_by: str) -> None:
    mask, tokenizer = mask_of([1, THINK] if opened_by == "the prompt" else [1, 2])
    (quote,), (letter,) = tokenizer.encode('"'), tokenizer.encode("a")
    if opened_by == "the model":
        assert allowed(mask) == {quote, THINK, OPEN, CLOSE}
        mask.advance(THINK)
    if opened_by != "nobody":
        assert EOS not in allowed(mask)
        assert letter in allowed(mask)
        for token in (letter, DONE):
            mask.advance(token)
    mask.advance(OPEN)
    assert quote in allowed(mask)
    assert not {OPEN, EOS, letter} & allowed(mask)
    for token in tokenizer.encode('"ab'):
        mask.advance(token)
    assert allowed(mask) == {quote}
    mask.advance(quote)
    assert allowed(mask) == {EOS, CLOSE}
    mask.advance(CLOSE)
    assert allowed(mask) == {EOS}
    assert not mask.has_failed


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [('"ab"', True), ('"ab', False), ('"ac"', False), ('"ab" ', True), ('"ab"x', False), ("", False)],
)
def test_whether_a_text_keeps_to_a_schema(text: str, is_valid: bool) -> None:
    masks = SchemaMasks(Tokenizer(resolve_checkpoint("glyph-mini")).as_json, FRAME)
    assert masks.accepts('{"const": "ab"}', text.strip()) == is_valid


@pytest.mark.parametrize(
    ("written", "is_date"),
    [
        ("2558-02-29", False), ("2556-02-29", True), ("1900-02-29", False), ("2000-02-29", True), ("0400-02-29", True),
        ("0000-01-01", False), ("0009-12-31", True), ("2023-04-31", False), ("2023-13-01", False), ("2023-1-01", False),
    ],
)  # fmt: skip
def test_dates_are_held_to_the_calendar(written: str, is_date: bool) -> None:
    masks = SchemaMasks(Tokenizer(resolve_checkpoint("glyph-mini")).as_json, FRAME)
    date = {"type": "string", "format": "date"}
    assert masks.accepts(json.dumps(date), f'"{written}"') == is_date
    assert masks.accepts(json.dumps(date | {"format": "date-time"}), f'"{written}T23:05:00Z"') == is_date
    assert masks.accepts(json.dumps(date | {"pattern": "^2", "allOf": [{"pattern": "29$"}]}), f'"{written}"') == (
        is_date and written[0] == "2" and written.endswith("29")
    )
    named = {"type": "object", "properties": {"const": date}, "required": ["const"], "additionalProperties": False}
    assert masks.accepts(json.dumps(named), f'{{"const": "{written}"}}') == is_date


def test_what_only_looks_like_a_schema_stays() -> None:
    value = {"const": {"format": "date"}, "enum": [{"format": "date"}]}
    assert with_calendar_dates(value) == value


def test_a_mask_leaves_other_rows_alone() -> None:
    class Only:
        has_failed = False

        def fill(self, bits: np.ndarray) -> None:
            bits[1] |= 1 << 5  # token 37
            bits[0] = np.int32(-(2**31))  # token 31, the sign

        def advance(self, token_id: int) -> None: ...

    logits = torch.randn(3, 50)
    result = masked(logits, [None, Only(), None])
    assert torch.equal(result[[0, 2]], logits[[0, 2]])
    assert result[1].isfinite().nonzero().flatten().tolist() == [31, 37]
    assert torch.equal(result[1, [31, 37]], logits[1, [31, 37]])
    assert masked(logits, [None] * 3) is logits
