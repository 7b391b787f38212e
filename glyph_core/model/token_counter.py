"""How many tokens a text would cost the language model: imports neither torch nor transformers.

A byte-level vocabulary, such as glyph-mini's, would count bytes, and make page images look better than they are. For
these the count is estimated: what a large vocabulary needs on average, :data:`LATIN_CHARS_PER_TOKEN` characters a
token in general and :data:`CJK_CHARS_PER_TOKEN` in Chinese, Japanese and Korean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers

from glyph_core.errors import ModelError

BYTE_LEVEL_VOCAB = 512  # entries: 256 bytes and special tokens
LATIN_CHARS_PER_TOKEN = 4.0  # OpenAI's rule of thumb for English, for vocabularies of about 100,000
CJK_CHARS_PER_TOKEN = 1.6  # the middle of Qwen's 1.5 to 1.8 characters a token
CJK_RANGES = (  # first and last code point: the blocks whose characters stand for a syllable or a word
    (0x1100, 0x11FF),  # Hangul Jamo
    (0x2E80, 0x9FFF),  # radicals, CJK punctuation, kana, unified ideographs and extension A
    (0xAC00, 0xD7FF),  # Hangul syllables
    (0xF900, 0xFAFF),  # compatibility ideographs
    (0xFF00, 0xFFEF),  # full-width forms
    (0x20000, 0x3FFFF),  # ideographs, extensions B and on
)


@dataclass(frozen=True, slots=True)
class TokenCount:
    num_tokens: int
    estimated: bool


class TokenCounter:
    """Counts with the model's tokenizer, or estimates where that counts bytes. Thread-safe."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.estimates = tokenizer.get_vocab_size(with_added_tokens=False) <= BYTE_LEVEL_VOCAB

    @classmethod
    def from_checkpoint(cls, path: Path) -> TokenCounter:
        """From the folder's ``tokenizer.json``; raises ModelError where there is none or it is damaged."""
        file = path / "tokenizer.json"
        try:
            description = file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ModelError(f"{file} cannot be read: {error}") from error
        try:
            tokenizer = tokenizers.Tokenizer.from_str(description)
        except Exception as error:  # tokenizers raises nothing narrower
            raise ModelError(f"{file} is no tokenizer: {error}") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer)

    @property
    def vocabulary(self) -> dict[str, int]:
        """Token → id, special ones included."""
        return self._tokenizer.get_vocab(with_added_tokens=True)

    def token_ids(self, text: str) -> list[int]:
        """The tokens of ``text``, special ones where it spells them; none are put around it."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def count(self, text: str) -> TokenCount:
        """The tokens of ``text`` alone, without special tokens around it."""
        if self.estimates:
            return TokenCount(estimate_num_tokens(text), estimated=True)
        return TokenCount(len(self._tokenizer.encode(text, add_special_tokens=False).ids), estimated=False)


def estimate_num_tokens(text: str) -> int:
    """What a large vocabulary would need for ``text``, rounded up; 0 for no text."""
    codes = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), np.uint32)
    is_cjk = np.zeros(len(codes), bool)
    for first, last in CJK_RANGES:
        is_cjk |= (codes >= first) & (codes <= last)
    num_cjk = int(is_cjk.sum())
    return math.ceil(num_cjk / CJK_CHARS_PER_TOKEN + (len(codes) - num_cjk) / LATIN_CHARS_PER_TOKEN)
