"""What an answer rests on, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from deployments.cli_console import print_notes, print_warnings
from deployments.openai_answers import Json

MAX_QUOTE_CHARS = 160


def print_evidence(glyph: Json) -> None:
    """Citations as notes, which only a terminal gets to see; values that the documents don't hold as warnings."""
    notes = {f"[{number}]": _citation(citation) for number, citation in enumerate(glyph["citations"], 1)}
    print_notes(notes)
    if glyph["grounding"]:
        print_warnings(_doubts(glyph["grounding"]))


def _citation(citation: Json) -> str:
    quote = citation["text"]
    if len(quote) > MAX_QUOTE_CHARS:
        quote = quote[: MAX_QUOTE_CHARS - 1] + "…"
    place = citation["filename"]
    if citation["page_index"] is not None:
        place += f", page {citation['page_index'] + 1}"
        if citation["source_page"] not in (None, citation["page_index"]):
            place += f" (page {citation['source_page'] + 1} of the file)"
    likeness = "" if citation["similarity"] == 1 else f", {citation['similarity']:.0%} alike"
    return f"“{quote}” – {place}{likeness}"


def _doubts(grounding: Json) -> Iterator[str]:
    for value in grounding["repaired"]:
        yield f"the model wrote {value['written']}; the documents say {value['text']}, which stands in its place now"
    for value in grounding["unsupported"]:
        near = " or ".join(value["source"])
        yield f"{value['text']} does not stand in the documents" + (f"; they say {near}" if near else "")
