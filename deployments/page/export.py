"""An answer with its evidence, to take away: Markdown for people, JSON for programs."""

from __future__ import annotations

import base64
import json
from html import escape

from deployments.openai_answers import Json
from deployments.page.numbers import numbers_of
from deployments.page.session import Turn
from deployments.page.strings import Words


def turn_json(turn: Turn) -> Json:
    return {
        "question": turn.question,
        "template": turn.template or None,
        "documents": [{"file_id": document.id, "filename": document.name} for document in turn.documents],
        "answer": turn.answer,
        "reasoning": turn.reasoning,
        "finish_reason": turn.finish_reason,
        "model": turn.model,
        "usage": turn.usage,
        "glyph": turn.glyph,
    }


def turn_markdown(turn: Turn, words: Words) -> str:
    lines = [f"# {turn.question or turn.template}", "", turn.answer, ""]
    if turn.glyph["citations"]:
        lines += [f"## {words('evidence')}", ""]
        lines += [_citation(number, citation, words) for number, citation in enumerate(turn.glyph["citations"], 1)]
        lines += [""]
    if doubts := list(_doubts(turn.glyph.get("grounding") or {}, words)):
        lines += [*doubts, ""]
    if turn.glyph["warnings"]:
        lines += [f"## {words('x_warnings')}", "", *(f"- {warning}" for warning in turn.glyph["warnings"]), ""]
    lines += [f"## {words('x_documents')}", "", *(f"- {document.name}" for document in turn.documents), ""]
    lines += [f"## {words('numbers')}", "", f"| {turn.model} | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in numbers_of(turn.usage, turn.glyph, words).items()]
    return "\n".join(lines) + "\n"


def download_links(name: str, markdown: str, as_json: Json, words: Words) -> str:
    """Links that hold their files themselves: nothing is left on the server."""
    text = json.dumps(as_json, ensure_ascii=False, indent=2)
    return (
        f'<p class="export">{_link(f"{name}.md", "text/markdown", markdown, words("export_markdown"))}'
        f"{_link(f'{name}.json', 'application/json', text, words('export_json'))}</p>"
    )


def _link(name: str, media_type: str, text: str, label: str) -> str:
    content = base64.b64encode(text.encode()).decode()
    return f'<a download="{escape(name)}" href="data:{media_type};charset=utf-8;base64,{content}">{escape(label)}</a>'


def _citation(number: int, citation: Json, words: Words) -> str:
    place = citation["filename"]
    if citation["page_index"] is not None:
        place = words("x_place", filename=place, number=citation["page_index"] + 1)
    quote = " ".join(citation["text"].split())
    return f"{number}. > {quote}\n\n   {place}"


def _doubts(grounding: Json, words: Words) -> list[str]:
    repaired = [
        f"- {value['text']}: {words('repaired', written=value['written'])}" for value in grounding.get("repaired", ())
    ]
    unsupported = [f"- {value['text']}: {words('unsupported')}" for value in grounding.get("unsupported", ())]
    return repaired + unsupported
