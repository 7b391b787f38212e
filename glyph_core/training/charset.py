"""The characters that training pages are made of: what the default checkpoint can read at all."""

from __future__ import annotations

import re

ASCII = "".join(chr(code) for code in range(0x20, 0x7F))
LATIN = "".join(chr(code) for code in range(0xA1, 0x100) if code != 0xAD)  # without the soft hyphen
LATIN_EXTENDED = "ĂăĄąĆćČčĎďĐđĘęĚěĞğİıŁłŃńŇňŐőŒœŘřŚśŞşŠšŤťŮůŰűŹźŻżŽž"
PUNCTUATION = "–—‘’‚“”„•…€™−"
CHARSET = ASCII + LATIN + LATIN_EXTENDED + PUNCTUATION
CLASS_OF = {char: index + 1 for index, char in enumerate(CHARSET)}  # 0 is "nothing here"

_FOREIGN = re.compile(f"[^{re.escape(CHARSET)}]+")
_SPACES = re.compile(r"\s+")


def cleaned(text: str) -> str:
    """``text`` in characters of the set, on one line, single-spaced."""
    return _SPACES.sub(" ", _FOREIGN.sub(" ", text)).strip()
