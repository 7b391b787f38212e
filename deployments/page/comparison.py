"""A comparison of two documents as HTML: clause beside clause, words that changed marked, each clause on its page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from deployments.openai_answers import Json
from deployments.page.evidence import PageUrl, view_button, views_of
from deployments.page.export import download_links
from deployments.page.session import Document
from deployments.page.strings import Words

MAX_ROWS = 500  # shown; the exports hold all


def comparison_html(found: Json, documents: Sequence[Document], page_url: PageUrl, words: Words) -> str:
    told = "".join(f'<p class="glyph-warning">{escape(warning)}</p>' for warning in found["warnings"])
    rows = "".join(_row(row, documents, page_url, words) for row in found["rows"][:MAX_ROWS])
    hidden = len(found["rows"]) - MAX_ROWS
    more = f'<p class="glyph-note">{escape(words("compare_more", number=hidden))}</p>' if hidden > 0 else ""
    names = "".join(f"<th>{escape(document.name)}</th>" for document in documents)
    table = (
        f"<table><thead><tr><th>{escape(words('kind'))}</th>{names}</tr></thead><tbody>{rows}</tbody></table>{more}"
        if rows
        else f"<p>{escape(words('compare_none'))}</p>"
    )
    links = download_links(words("compare_file"), found["markdown"], found, words)
    note = f'<p class="glyph-note">{escape(words("compare_reload"))}</p>'
    counts = escape(words("compare_counts", **found["counts"]))
    return f'<section class="compared"><p class="counts">{counts}</p>{told}{table}{links}{note}</section>'


def _row(row: Json, documents: Sequence[Document], page_url: PageUrl, words: Words) -> str:
    cells = "".join(
        f"<td>{_clause(row[side], _marked(row, side), document, page_url, words) if row[side] else ''}</td>"
        for side, document in zip(("first", "second"), documents, strict=True)
    )
    kind = words(f"kind_{row['kind']}")
    return f'<tr class="{row["kind"]}"><td>{escape(kind)}</td>{cells}</tr>'


def _clause(clause: Json, text: str, document: Document, page_url: PageUrl, words: Words) -> str:
    """``text`` is HTML."""
    if not clause["regions"]:
        return text
    number = clause["page_index"] + 1
    views = views_of(clause["regions"], document, page_url, words)
    title = words("cite_open", filename=document.name, page=number)
    label = f"{text}<small>{escape(words('page_caption', number=number))}</small>"
    return view_button(views, label, title)


def _marked(row: Json, side: str) -> str:
    """The clause with its words that the other one has not."""
    text, tag = row[side]["text"] if row[side] else "", "del" if side == "first" else "ins"
    if row["kind"] in ("only_first", "only_second"):
        return f"<{tag}>{escape(text)}</{tag}>"
    html, at = "", 0
    for change in row["changes"]:
        piece = change[side]
        place = text.find(piece, at) if piece else -1
        if place < 0:
            continue
        html += f"{escape(text[at:place])}<{tag}>{escape(piece)}</{tag}>"
        at = place + len(piece)
    return html + escape(text[at:])
