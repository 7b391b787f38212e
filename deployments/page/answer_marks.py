"""An answer as HTML: its values marked by what became of them, its citations as numbers that can be clicked.

The API counts characters of the answer as it is written. So marks go into the text first, as characters that no answer
keeps, and become tags at last; in between the text may be read as Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from markdown_it import MarkdownIt

from deployments.openai_answers import Json
from deployments.page.strings import Words

OPEN, CLOSE = "\x02", "\x03"
MARK = re.compile(f"{OPEN}(\\d+){CLOSE}")
LOOKS_LIKE_MARKDOWN = re.compile(
    r"^\s{0,3}#{1,6} \S|^\s*\|.+\|\s*$|^\s*(?:[-*]|\d+\.) .+\n\s*(?:[-*]|\d+\.) |\*\*\S[^*\n]*\*\*|^```", re.MULTILINE
)
# Pictures and links would leave for elsewhere; HTML is shown as text.
MARKDOWN = (
    MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable(["image", "link", "autolink"])
)

CitationButton = Callable[[int, Json], str]  # a citation's number, from 1, and itself, as HTML


def answer_html(answer: str, glyph: Json, citation_button: CitationButton, words: Words) -> str:
    tags: list[str] = []
    marks: list[tuple[int, int, str]] = []  # offset; closing tags before buttons before opening ones; the mark

    def mark(offset: int, order: int, tag: str) -> None:
        marks.append((offset, order, f"{OPEN}{len(tags)}{CLOSE}"))
        tags.append(tag)

    for kind in ("repaired", "unsupported", "supported"):
        for value in (glyph.get("grounding") or {}).get(kind, ()):
            title = escape(_told(kind, value, words))
            mark(value["start"], 2, f'<mark class="{kind}" title="{title}" tabindex="0">')
            mark(value["stop"], 0, f'<span class="sr">({title})</span></mark>' if kind != "supported" else "</mark>")
    for number, citation in enumerate(glyph.get("citations", ()), 1):
        mark(citation["answer_stop"], 1, citation_button(number, citation))
    text = answer.replace(OPEN, "�").replace(CLOSE, "�")
    for offset, _, mark_text in sorted(marks, key=lambda m: (m[0], m[1]), reverse=True):
        text = text[:offset] + mark_text + text[offset:]
    is_markdown = "\n" in answer.strip() and LOOKS_LIKE_MARKDOWN.search(answer) is not None
    html = MARKDOWN.render(text) if is_markdown else f'<p class="plain">{escape(text)}</p>'
    return MARK.sub(lambda found: tags[int(found[1])], html)


def _told(kind: str, value: Json, words: Words) -> str:
    if kind == "repaired":
        return words("repaired", written=value["written"])
    if kind == "unsupported" and value["source"]:
        return words("unsupported_near", near=" / ".join(value["source"]))
    return words(kind)
