"""What went wrong, as sentences that somebody can act on."""

from __future__ import annotations

from html import escape

from deployments.page.strings import Words, table
from glyph_core.errors import GlyphError


def problem_html(error: GlyphError, words: Words, about: str = "") -> str:
    """What to do, in the visitor's language, and the endpoint's own sentence."""
    key = f"error_{error.code}"
    advice = words(key if key in table() else "error_other")
    subject = f"<b>{escape(about)}</b> " if about else ""
    message = error.message[:1].upper() + error.message[1:]
    return f'<div class="glyph-problem" role="alert">{subject}{escape(message)}. <b>{escape(advice)}</b></div>'


def notice_html(text: str) -> str:
    return f'<div class="glyph-problem notice" role="status">{escape(text)}</div>'
