"""A checkpoint's tokenizer and chat template, safe against text that spells special tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tokenizers
from jinja2 import TemplateError
from transformers import AutoTokenizer

from glyph_core.errors import InvalidRequestError, ModelError
from glyph_core.model.chat_template import read_chat_template
from glyph_core.model.checkpoint import Checkpoint

Turn = Mapping[str, Any]
"""A message as transformers' chat templates take it: ``role``, and ``content`` as a string or as a list of parts,
``{"type": "image"}`` for a page and ``{"type": "text", "text": …}``."""

PROBE = "probe"
PRIVATE_USE = range(0xF0000, 0xFFFFE)  # characters without a meaning of their own; no text has all 65,534


class Tokenizer:
    """Text to token ids and back. Thread-safe."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises ModelError where the folder lacks a tokenizer or a chat template."""
        try:
            self._template = AutoTokenizer.from_pretrained(checkpoint.path, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelError(f"the tokenizer in {checkpoint.path} cannot be loaded: {error}") from error
        if not self._template.chat_template:
            self._template.chat_template = read_chat_template(checkpoint.path)
        description = json.loads(self._template.backend_tokenizer.to_str())
        self._tokenizer = _backend(description)
        self._marks = {token["content"]: int(token["id"]) for token in description["added_tokens"] if _is_mark(token)}
        self._text_only = _backend(
            description | {"added_tokens": [token for token in description["added_tokens"] if not _is_mark(token)]}
        )
        self._wants_parts = False
        self._wants_parts = self._loses_plain_strings()
        self._opening = self._find_opening()
        self._mark = re.compile(f"({'|'.join(map(re.escape, sorted(self._marks, key=len, reverse=True)))})")

    def encode(self, text: str) -> list[int]:
        """``text`` as nothing but text: where it spells a special token, that is so many ordinary characters."""
        return self._text_only.encode(text, add_special_tokens=False).ids

    @property
    def as_json(self) -> str:
        """The whole of it, in the tokenizers library's own form."""
        return str(self._tokenizer.to_str())

    def decode(self, token_ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of ``token_ids``; bytes that make no whole character come out as U+FFFD."""
        return self._tokenizer.decode(list(token_ids), skip_special_tokens=skip_special)

    def special_token_id(self, token: str) -> int | None:
        """The id of a token that stands for no text, such as ``<think>``; None where the tokenizer has none."""
        return self._marks.get(token)

    def apply_chat_template(self, turns: Sequence[Turn]) -> str:
        """The prompt's text, up to where the assistant begins; one placeholder a page.

        Raises InvalidRequestError where the template refuses these turns, with its reason.
        """
        try:
            turns = [_in_parts(turn) for turn in turns] if self._wants_parts else list(turns)
            text: str = self._template.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except TemplateError as error:
            raise InvalidRequestError(f"the model's chat template takes no such messages: {error}") from error
        return text

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        """The prompt's token ids. Special tokens are those that the template wrote: a turn's own text never makes
        one, whatever it spells. Raises InvalidRequestError for text that is no Unicode."""
        everything = "".join(text for turn in turns for text in _texts(turn))
        if not everything.isascii():
            _check_unicode(everything)
        if not self._marks or not self._mark.search(everything):
            return self._opened(self._tokenizer.encode(self.apply_chat_template(turns), add_special_tokens=False).ids)
        breaker = next(chr(code) for code in PRIVATE_USE if chr(code) not in everything)
        token_ids: list[int] = []
        for piece in self._mark.split(self.apply_chat_template([_broken(turn, breaker) for turn in turns])):
            token_ids += [self._marks[piece]] if piece in self._marks else self.encode(piece.replace(breaker, ""))
        return self._opened(token_ids)

    def _opened(self, token_ids: list[int]) -> list[int]:
        is_open = token_ids[: len(self._opening)] == self._opening
        return token_ids if is_open else self._opening + token_ids

    def _find_opening(self) -> list[int]:
        """What the tokenizer puts before every text, such as Llama's ``<s>``, which its template leaves to it."""
        bare = self._tokenizer.encode(PROBE, add_special_tokens=False).ids
        framed: list[int] = self._template(PROBE)["input_ids"]
        start = next((i for i in range(len(framed)) if framed[i : i + len(bare)] == bare), 0)
        return framed[:start]

    def _loses_plain_strings(self) -> bool:
        """Some templates, such as LLaVA's, leave out a turn whose content is no list of parts."""
        try:
            return PROBE not in self.apply_chat_template([{"role": "user", "content": PROBE}])
        except InvalidRequestError:
            return False


def _in_parts(turn: Turn) -> Turn:
    content = turn["content"]
    return {**turn, "content": [{"type": "text", "text": content}]} if isinstance(content, str) else turn


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            "a message holds half of a surrogate pair, which is no character; send valid Unicode", param="messages"
        ) from error


def _is_mark(added_token: Mapping[str, Any]) -> bool:
    """Some tokenizers add runs of spaces, which are text."""
    return bool(added_token["content"].strip())


def _backend(description: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """A copy of our own: transformers' is changed by its callers' options."""
    return tokenizers.Tokenizer.from_str(
        json.dumps({**description, "truncation": None, "padding": None, "post_processor": None})
    )


def _texts(turn: Turn) -> Iterator[str]:
    content = turn["content"]
    if isinstance(content, str):
        yield content
    else:
        yield from (part["text"] for part in content if part["type"] == "text")


def _broken(turn: Turn, breaker: str) -> Turn:
    """The turn with ``breaker`` between all characters of its text, so that nothing in it spells a mark."""
    content = turn["content"]
    if isinstance(content, str):
        return {**turn, "content": breaker.join(content)}
    parts = [{**part, "text": breaker.join(part["text"])} if part["type"] == "text" else part for part in content]
    return {**turn, "content": parts}
