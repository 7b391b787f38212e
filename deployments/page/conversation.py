"""Questions and answers as HTML: the one that is under way, and those that were answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from deployments.openai_answers import Json
from deployments.page.answer_marks import answer_html
from deployments.page.evidence import PageUrl, view_button, views_of
from deployments.page.export import download_links, turn_json, turn_markdown
from deployments.page.numbers import numbers_html
from deployments.page.session import Turn
from deployments.page.strings import Words
from glyph_core.types import Progress

MAX_QUOTE_CHARS = 240


def live_html(question: str, progress: Progress | None, text: str, words: Words) -> str:
    """The answer under way: how far the stages are, and what is written so far."""
    if progress is None:
        stages = _stage(words("waiting"), None, "")
    else:
        pages = progress.num_pages
        stages = "".join(
            (
                _stage(words("pages_rendered"), _share(progress.num_pages_rendered, pages),
                       f"{progress.num_pages_rendered}/{pages}"),
                _stage(words("pages_encoded"), _share(progress.num_pages_encoded, pages),
                       f"{progress.num_pages_encoded}/{pages}"),
                _windows(progress, words),
                f'<div class="stage"><span>{escape(words("tokens"))}</span><b>{progress.num_tokens}</b></div>',
            )
        )  # fmt: skip
    written = f'<div class="answer"><p class="plain">{escape(text)}</p></div>' if text else ""
    return (
        f'<article class="turn live"><h3>{escape(question)}</h3><div class="stages" role="status" '
        f'aria-label="{escape(words("working"))}">{stages}</div>{written}</article>'
    )


def _windows(progress: Progress, words: Words) -> str:
    """Of a document that is longer than the model reads at once."""
    if progress.num_windows < 2:
        return ""
    count = f"{progress.num_windows_read}/{progress.num_windows}"
    step = "" if progress.reading == "windows" else f" · {words('reading_again')}"
    return _stage(words("windows") + step, _share(progress.num_windows_read, progress.num_windows), count)


def _share(count: int, of: int) -> float:
    return min(1.0, count / of) if of else 0.0


def _stage(name: str, share: float | None, count: str) -> str:
    value = "" if share is None else f' value="{share:.3f}"'
    return (
        f'<div class="stage"><span>{escape(name)}</span>'
        f'<progress max="1"{value} aria-label="{escape(name)}"></progress>'
        f"<b>{count}</b></div>"
    )


def turns_html(turns: Sequence[Turn], page_url_of: Callable[[Turn], PageUrl], words: Words) -> str:
    """The newest first, and open; the others below it, folded."""
    if not turns:
        return f'<p class="glyph-empty">{escape(words("nothing_yet"))}</p>'
    newest, *older = reversed(turns)
    folded = "".join(
        f"<details><summary>{escape(_title(turn))} — {escape(_short(turn.answer, 80))}</summary>"
        f"{turn_html(turn, page_url_of(turn), words, is_newest=False)}</details>"
        for turn in older
    )
    history = f'<section class="history"><h4>{escape(words("history"))}</h4>{folded}</section>' if older else ""
    return turn_html(newest, page_url_of(newest), words, is_newest=True) + history


def turn_html(turn: Turn, page_url: PageUrl, words: Words, *, is_newest: bool) -> str:
    names = ", ".join(document.name for document in turn.documents)
    parts = (
        f'<h3>{escape(_title(turn))}</h3><p class="about">{escape(words("asked_of", names=names))}</p>',
        _thinking(turn, words),
        f'<div class="answer">{_answer(turn, page_url, words)}</div>',
        _confidence(turn.glyph, words),
        f'<p class="glyph-warning">{escape(words("cut_off"))}</p>' if turn.finish_reason == "length" else "",
        *(f'<p class="glyph-warning">{escape(warning)}</p>' for warning in turn.glyph["warnings"]),
        _citations(turn, page_url, words),
        numbers_html(turn.usage, turn.glyph, words, is_open=is_newest),
        download_links(words("export_file"), turn_markdown(turn, words), turn_json(turn), words),
    )
    return f'<article class="turn{" newest" if is_newest else ""}">{"".join(parts)}</article>'


def _title(turn: Turn) -> str:
    return turn.question or turn.template


def _thinking(turn: Turn, words: Words) -> str:
    if not turn.reasoning:
        return ""
    return (
        f'<details class="thinking"><summary>{escape(words("thinking"))}</summary>'
        f'<p class="plain">{escape(turn.reasoning)}</p></details>'
    )


def _answer(turn: Turn, page_url: PageUrl, words: Words) -> str:
    def button(number: int, citation: Json) -> str:
        return _citation_button(turn, citation, f"{number}", page_url, words, kind="cite number")

    return answer_html(turn.answer, turn.glyph, button, words)


def _confidence(glyph: Json, words: Words) -> str:
    key = "confidence_calibrated" if glyph["confidence_is_calibrated"] else "confidence_raw"
    shown = f"{glyph['confidence']:.1%}" if glyph["confidence"] < 0.9995 else "> 99.9%"
    marked = [kind for kind in ("repaired", "unsupported") if (glyph.get("grounding") or {}).get(kind)]
    legend = "".join(f' <mark class="{kind}">{escape(words(f"legend_{kind}"))}</mark>' for kind in marked)
    return f'<p class="confidence">{escape(words(key, percent=shown))}{legend}</p>'


def _citations(turn: Turn, page_url: PageUrl, words: Words) -> str:
    citations = turn.glyph["citations"]
    if not citations:
        return f'<p class="glyph-note">{escape(words("no_citations"))}</p>' if turn.documents else ""
    rows = []
    for number, citation in enumerate(citations, 1):
        before, after = (escape(citation.get(side, "")) for side in ("before", "after"))
        quote = f"{before} <mark>{escape(_short(citation['text'], MAX_QUOTE_CHARS))}</mark> {after}".strip()
        label = f"<i>{number}</i><span>{quote} <small>{_place(citation, words)}</small></span>"
        rows.append(f"<li>{_citation_button(turn, citation, label, page_url, words, kind='cite passage')}</li>")
    return f'<h4>{escape(words("evidence"))}</h4><ul class="cites">{"".join(rows)}</ul>'


def _citation_button(turn: Turn, citation: Json, label: str, page_url: PageUrl, words: Words, *, kind: str) -> str:
    """What is on no page, or in a document that is not known any more, cannot be opened."""
    if not citation["regions"] or citation["document"] >= len(turn.documents):
        return f'<span class="{kind}">{label}</span>'
    views = views_of(citation["regions"], turn.documents[citation["document"]], page_url, words)
    title = words("cite_open", filename=citation["filename"], page=citation["page_index"] + 1)
    return view_button(views, label, title, kind)


def _place(citation: Json, words: Words) -> str:
    page_index = citation["page_index"]
    where = words("cite_no_page") if page_index is None else words("page_caption", number=page_index + 1)
    alike = "" if citation["similarity"] == 1 else " · " + words("cite_alike", percent=f"{citation['similarity']:.0%}")
    return escape(f"{citation['filename']} · {where}{alike}")


def _short(text: str, max_chars: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"
