"""Characters of symbol fonts, which stand in the private use area (U+F020–U+F0FF), as Unicode has them."""

from __future__ import annotations

import re

from mammoth.docx.dingbats import dingbats  # dingbat-to-unicode's tables

_PRIVATE = re.compile("[\uf020-\uf0ff]")
_FONTS = frozenset(font for font, _ in dingbats)


def readable(text: str, font: str = "Symbol") -> str:
    """``text`` with the characters that ``font`` puts in the private use area as those that they look like.

    Where ``font`` is no symbol font, Symbol's table is taken: it is what Word writes bullets with.
    """
    if not _PRIVATE.search(text):
        return text
    known = font if font in _FONTS else "Symbol"
    return _PRIVATE.sub(lambda match: _character(known, match[0]), text)


def _character(font: str, private: str) -> str:
    code = ord(private) - 0xF000
    return chr(dingbats.get((font, code), dingbats.get(("Wingdings", code), ord(private))))
