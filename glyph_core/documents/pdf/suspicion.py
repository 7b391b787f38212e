"""Why a page's text layer should not stand for its picture. Cheap checks: nothing is drawn for them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from glyph_core.documents.blocks import Box
from glyph_core.documents.pdf.lines import Line

_MIN_CHARS = 8  # fewer on a page with pictures or drawings: the text is elsewhere
_SCAN_SHARE = 0.75  # of the page, covered by one picture
_HIDDEN_SHARE = 0.5  # of the characters
# What no mapping gave a meaning, and letters that bad mappings are full of and running text is not: IPA and other
# additions to Latin (the Vietnamese horn letters aside), combining marks after nothing, controls, private use
_GARBAGE = re.compile(
    r"[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
    r"\u0180-\u019f\u01a2-\u01ae\u01b1-\u01cc\u01dd-\u0217\u021c-\u02af\u02e5-\u036f]"
)
_GARBAGE_SHARE = 0.03
_BULLETS = str.maketrans("", "", "\uf0b7\uf0a7\uf0d8\uf0fc\uf0a8")  # of Word's Symbol and Wingdings, well known
_MANY_VECTORS, _CHARS_A_VECTOR = 400, 4  # a drawing has many strokes and few letters
_SIDEWAYS_SHARE = 0.5
_MIN_FIELDS = 3


def reason_for_native(
    lines: Sequence[Line], vectors: Sequence[Box], pictures: Sequence[Box], num_fields: int, area: float
) -> str:
    """Why a page is better shown as it is drawn, or nothing. ``area`` is the page's, in square points."""
    num_chars = sum(len(line.text) for line in lines)
    text = "".join(line.text for line in lines).translate(_BULLETS)
    garbage = len(_GARBAGE.findall(text)) / max(1, len(text))
    if garbage > _GARBAGE_SHARE:
        return f"{garbage:.0%} of the characters of its text layer have no meaning"
    if num_chars < _MIN_CHARS and (pictures or vectors):
        return "it has no text layer"
    if sum(line.num_hidden for line in lines) > _HIDDEN_SHARE * max(1, num_chars):
        return "its text layer is not visible"
    if any(_area(box) > _SCAN_SHARE * area for box in pictures):
        return "a picture covers it"
    if num_fields >= _MIN_FIELDS:
        return f"it is a form of {num_fields} fields"
    if len(vectors) > _MANY_VECTORS and num_chars < _CHARS_A_VECTOR * len(vectors):
        return f"it is a drawing of {len(vectors)} strokes"
    if sum(len(line.text) for line in lines if not line.is_straight) > _SIDEWAYS_SHARE * max(1, num_chars):
        return "its text does not run from left to right"
    return ""


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
