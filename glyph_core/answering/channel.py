"""Text on its way out: decoded token by token, cut at stop strings, trimmed, never taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

REPLACEMENT = "\ufffd"  # what a decoder prints for bytes that do not make a character yet
_MAX_CHARACTER_TOKENS = 4  # UTF-8's bytes


class IncrementalDecoder:
    """Token ids in, text out as soon as it is certain.

    A token may end inside a character, and some tokenizers write a token differently after another one. So each
    token is decoded together with those since the last certain text, and nothing is given out of what may still be an
    unfinished character. The whole output equals ``decode`` of all ids at once.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._token_ids: list[int] = []
        self._context_start = 0  # the window that is decoded again with each token …
        self._given_stop = 0  # … of which the tokens before this index are given out

    def push(self, token_id: int) -> str:
        self._token_ids.append(token_id)
        given = self._decode(self._token_ids[self._context_start : self._given_stop])
        window = self._decode(self._token_ids[self._context_start :])
        stop = len(self._token_ids)
        if window.endswith(REPLACEMENT):
            stop -= (
                _MAX_CHARACTER_TOKENS  # the last ones may begin a character; more than that are bytes that make none
            )
            certain = self._decode(self._token_ids[self._context_start : max(self._given_stop, stop)])
            if stop - self._given_stop < _MAX_CHARACTER_TOKENS or not window.startswith(certain):
                return ""
            window = certain
        if len(window) <= len(given):
            return ""
        self._context_start, self._given_stop = self._given_stop, stop
        return window[len(given) :]

    def flush(self) -> str:
        """What is left when no token follows: an unfinished character comes out as U+FFFD."""
        given = self._decode(self._token_ids[self._context_start : self._given_stop])
        rest = self._decode(self._token_ids[self._context_start :])[len(given) :]
        self._context_start = self._given_stop = len(self._token_ids)
        return rest


class TextChannel:
    """Collects a text piece by piece and says which part of it may be shown already.

    White space at both ends is not part of the text. The text ends before that of ``stop`` which is complete first,
    however the pieces cut it; a tail that might become a stop string is held back. The shown pieces joined are always a
    prefix of ``text``, and equal to it after ``close``.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(s for s in stop if s)
        self._hold = max((len(s) for s in self._stop), default=1) - 1
        self._text = ""
        self._num_shown = 0
        self.stopped = False

    @property
    def text(self) -> str:
        return self._text.rstrip()

    def push(self, piece: str) -> str:
        """Adds ``piece``; returns what may be shown now."""
        if self.stopped:
            return ""
        self._text = (self._text + piece).lstrip() if not self._num_shown else self._text + piece
        found = [(at + len(s), at) for s in self._stop if (at := self._text.find(s, self._num_shown)) >= 0]
        if found:
            self._text, self.stopped = self._text[: min(found)[1]], True
            return self.close()
        return self._show(len(self._text[: max(0, len(self._text) - self._hold)].rstrip()))

    def close(self) -> str:
        """What is left to show when nothing follows."""
        return self._show(len(self.text))

    def _show(self, stop: int) -> str:
        piece = self._text[self._num_shown : stop]
        self._num_shown = max(self._num_shown, stop)
        return piece
