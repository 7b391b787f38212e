"""Answers that keep to a JSON schema, by llguidance: the tokens that would break it are never drawn.

https://github.com/guidance-ai/llguidance. Imports neither torch nor transformers: the gateway checks schemas, too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from glyph_core.answering.calendar_dates import with_calendar_dates
from glyph_core.errors import InvalidRequestError

ANY_OBJECT = '{"type": "object"}'
MAX_SCHEMA_CHARS, MAX_SCHEMA_DEPTH = 100_000, 100  # what compiles and checks them descends recursively
PARAM = "response_format"
# One blank or one line's beginning between JSON's parts: models write both, and no answer ends in endless blanks.
_WHITESPACE = r"[ ]|\n[ ]{0,32}"
_LIMITS = LLParserLimits(verbose_errors=False)


def schema_text(schema: Any) -> str:
    """``schema`` as the text that sampling takes. Raises InvalidRequestError for one that no answer can keep to, or
    that says what cannot be enforced."""
    if _is_deeper(schema, MAX_SCHEMA_DEPTH):
        raise InvalidRequestError(
            f"the JSON schema is nested deeper than {MAX_SCHEMA_DEPTH} levels: simplify it", param=PARAM
        )
    text = json.dumps(schema)
    if len(text) > MAX_SCHEMA_CHARS:
        raise InvalidRequestError(
            f"the JSON schema has {len(text)} characters; {MAX_SCHEMA_CHARS} are taken: simplify it",
            param=PARAM,
        )
    if not isinstance(schema, dict):
        raise InvalidRequestError("a JSON schema must be a JSON object here", param=PARAM)
    if fault := LLMatcher.validate_grammar(_grammar(text), limits=_LIMITS):
        raise _refused(fault)
    return text


@dataclass(frozen=True, slots=True)
class Frame:
    """Tokens around an answer that are no part of its text."""

    eos: frozenset[int]
    open_reasoning: frozenset[int] = frozenset()
    close_reasoning: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()  # such as <answer>: each may stand once, before or after the JSON


class SchemaMasks:
    """Makes the masks of one model's answers."""

    def __init__(self, tokenizer_json: str, frame: Frame) -> None:
        """``tokenizer_json`` is the whole of a tokenizer, in the tokenizers library's own form."""
        self._json, self._frame = tokenizer_json, frame
        self._compiled = lru_cache(maxsize=64)(self._compile)
        self._tokenizer_of = lru_cache(maxsize=2)(self._tokenizer)

    def mask(self, schema: str, vocab_size: int, prompt_ids: Sequence[int]) -> SchemaMask:
        """A fresh mask for an answer to ``prompt_ids``. Raises InvalidRequestError for a schema that cannot be
        enforced."""
        turns = [i for i in prompt_ids[-4:] if i in self._frame.open_reasoning | self._frame.close_reasoning]
        is_thinking = bool(turns) and turns[-1] in self._frame.open_reasoning
        matcher = self._compiled(schema, vocab_size).deep_copy()
        return SchemaMask(matcher, self._tokenizer_of(vocab_size).vocab_size, self._frame, is_thinking=is_thinking)

    def accepts(self, schema: str, text: str) -> bool:
        """Whether ``text`` keeps to the schema."""
        matcher = self._compiled(schema, None).deep_copy()
        token_ids = self._tokenizer_of(None).tokenize_str(text)
        return bool(matcher.validate_tokens(token_ids) == len(token_ids)) and _ends(matcher, token_ids)

    def _tokenizer(self, vocab_size: int | None) -> LLTokenizer:
        return LLTokenizer(self._json, n_vocab=vocab_size, eos_token=sorted(self._frame.eos))

    def _compile(self, schema: str, vocab_size: int | None) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer_of(vocab_size), _grammar(schema), log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise _refused(matcher.get_error())
        return matcher


class SchemaMask:
    """A TokenMask: thinking is free, then comes JSON that keeps to the schema, then the end."""

    def __init__(self, matcher: LLMatcher, vocab_size: int, frame: Frame, *, is_thinking: bool) -> None:
        self._matcher, self._frame = matcher, frame
        self._buffer = np.zeros(-(-vocab_size // 32), dtype=np.int32)
        self._silent_left = set(frame.silent - frame.eos)
        self._may_think = not is_thinking
        self._is_thinking, self._has_begun, self._has_ended = is_thinking, False, False

    @property
    def has_failed(self) -> bool:
        return bool(self._matcher.is_error())

    def fill(self, bits: np.ndarray) -> None:
        bits[:] = 0
        if self._is_thinking:
            bits[:] = -1
            _set(bits, self._frame.eos, allowed=False)
            return
        if self.has_failed or self._has_ended:
            _set(bits, self._frame.eos | (set() if self.has_failed else self._silent_left))
            return
        self._matcher.unsafe_compute_mask_ptr(self._buffer.ctypes.data, self._buffer.nbytes)
        num_words = min(len(bits), len(self._buffer))
        bits[:num_words] = self._buffer[:num_words]
        if not self._has_begun:
            _set(bits, self._silent_left | (self._frame.open_reasoning if self._may_think else set()))
        elif self._matcher.is_accepting():
            _set(bits, self._frame.eos | self._silent_left)
        if self.has_failed or not bits.any():
            _set(bits, self._frame.eos)

    def advance(self, token_id: int) -> None:
        if self._is_thinking:
            self._is_thinking = token_id not in self._frame.close_reasoning
        elif not self._has_begun and token_id in self._frame.open_reasoning:
            self._is_thinking, self._may_think = True, False
        elif token_id in self._silent_left:
            self._silent_left.discard(token_id)
            self._has_ended = self._has_begun
        elif token_id not in self._frame.eos:
            self._has_begun = True
            self._matcher.consume_token(token_id)


def _is_deeper(value: Any, max_depth: int) -> bool:
    """Whether objects and lists are nested deeper in ``value``."""
    level = [value]
    for _ in range(max_depth + 1):
        parts = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        level = [inner for part in parts for inner in part]
    return bool(level)


def _ends(matcher: LLMatcher, token_ids: Sequence[int]) -> bool:
    return bool(matcher.consume_tokens(list(token_ids)) and matcher.is_accepting())


def _set(bits: np.ndarray, token_ids: Collection[int], *, allowed: bool = True) -> None:
    words = bits.view(np.uint32)
    for token_id in token_ids:
        if token_id < 32 * len(words):
            bit = np.uint32(1 << token_id % 32)
            words[token_id // 32] = words[token_id // 32] | bit if allowed else words[token_id // 32] & ~bit


def _grammar(schema: str) -> str:
    exact = json.dumps(with_calendar_dates(json.loads(schema)))
    return str(LLMatcher.grammar_from_json_schema(exact, overrides={"whitespace_pattern": _WHITESPACE}))


def _refused(fault: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"no answer can be held to this JSON schema: {' '.join(fault.split())[:300]}; change the schema", param=PARAM
    )
