"""What of OpenAI's request is honoured, what is harmless, and what is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployments.openai_types import ChatRequest, parse_chat_request
from glyph_core.errors import InvalidRequestError

QUESTION = {"model": "glyph-mini", "messages": [{"role": "user", "content": "What?"}]}


def parse(**fields: Any) -> ChatRequest:
    return parse_chat_request(json.dumps({**QUESTION, **fields}).encode())


def refusal(**fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        parse(**fields)
    return caught.value


def test_a_plain_request() -> None:
    request = parse()
    assert request.messages[0].content[0].text == "What?"
    assert request.max_tokens is None
    assert not request.stream


@pytest.mark.parametrize(
    "fields",
    [{"n": 1}, {"n": None}, {"logprobs": False}, {"presence_penalty": 0}, {"frequency_penalty": 0.0}, {"tools": []},
     {"response_format": {"type": "text"}}, {"store": False}, {"user": "me"}, {"metadata": {"a": "b"}},
     {"safety_identifier": "x"}, {"tool_choice": "none"}, {"parallel_tool_calls": True}, {"logit_bias": {}},
     {"stop": None}, {"temperature": None}, {"seed": None}, {"stream_options": None}, {"stream": None}, {"tools": None},
     {"glyph": None}],
    ids=str,
)  # fmt: skip
def test_harmless_values_are_accepted(fields: dict[str, Any]) -> None:
    assert parse(**fields) == parse()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"tools": [{"type": "function"}]}, "tools.0.type"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_object"}, "stop": "}"}, "stop"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"best_of": 3}, "best_of"),
        ({"top_k": 40}, "top_k"),
        ({"temperature": -0.5}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": 5}, "stop"),
        ({"seed": 2**63}, "seed"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_everything": True}}, "stream_options.include_everything"),
        ({"glyph": {"dpi": 96}}, "glyph.dpi"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "name": "me"}]}, "messages.0.name"),
        ({"messages": [{"role": "user", "content": "x", "weight": 1}]}, "messages.0.weight"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]}, "messages.0.tool_calls"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache": 1}]}]},
            "messages.0.content.0.cache",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f", "file_name": "a"}}]}]},
            "messages.0.content.0.file.file_name",
        ),
        (
            {"messages": [{"role": "system", "content": [{"type": "file", "file": {"file_data": ""}}]}]},
            "messages.0",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "", "detail": "low"}}]}
                ]
            },
            "messages.0.content.0.image_url.detail",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_everything_else_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert param in error.message
    assert "Value error" not in error.message
    assert error.status == 400


@pytest.mark.parametrize("detail", ["auto", "high", None])
def test_a_picture_is_shown_in_its_own_size(detail: str | None) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,", "detail": detail}}
    request = parse(messages=[{"role": "user", "content": [image, {"type": "text", "text": "What?"}]}])
    assert request.messages[0].content[0].image_url is not None


def test_one_limit_under_two_names() -> None:
    assert parse(max_tokens=5, max_completion_tokens=5).max_tokens == 5


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b'{"model": NaN}'])
def test_what_is_no_json_object(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="JSON"):
        parse_chat_request(body)


@pytest.mark.parametrize(
    "annotations", [[], [{"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "title": "a",
                                                                   "url": "a.txt#page=1"}}]]
)  # fmt: skip
def test_what_an_earlier_answer_brings_back_is_accepted(annotations: list[Any]) -> None:
    answer = {"role": "assistant", "content": "42", "refusal": None, "annotations": annotations, "audio": None,
              "function_call": None, "tool_calls": None, "reasoning_content": "hm"}  # fmt: skip
    request = parse(messages=[QUESTION["messages"][0], answer, {"role": "user", "content": "And?"}])
    assert [message.role for message in request.messages] == ["user", "assistant", "user"]
