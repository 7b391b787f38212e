"""Code in colours: pygments says what each piece of it is."""

from __future__ import annotations

import numpy as np
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, String, _TokenType
from pygments.util import ClassNotFound

from glyph_core.rendering.colours import BLACK, BLUE, BROWN, GRAY, GREEN, PURPLE

_COLOURS = {
    Keyword: BLUE,
    Name.Tag: BLUE,
    Name.Builtin: BLUE,
    Name.Function: PURPLE,
    Name.Class: PURPLE,
    Name.Decorator: PURPLE,
    Name.Attribute: BROWN,
    Number: BROWN,
    String: GREEN,
    Comment: GRAY,
}


def colours_of(code: str, language: str) -> np.ndarray | None:
    """(n,) uint8 into colours.PALETTE, one for each character; None where pygments has no lexer of that name."""
    if not language:
        return None
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return None
    colours = np.full(len(code), BLACK, dtype=np.uint8)
    for start, token, text in lexer.get_tokens_unprocessed(code):
        colours[start : start + len(text)] = _colour_of(token)
    return colours


def _colour_of(token: _TokenType) -> int:
    """The colour of the nearest kind above ``token`` that has one."""
    kind: _TokenType | None = token
    while kind is not None:
        if kind in _COLOURS:
            return _COLOURS[kind]
        kind = kind.parent
    return BLACK
