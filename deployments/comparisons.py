"""A comparison of two documents as it leaves: as JSON, and as a Markdown table for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from deployments.openai_answers import Json, region_json
from deployments.openai_types import FileContent
from deployments.wire import Wire, checked, json_of
from glyph_core.evidence.comparison import CitedClause, ComparedClauses, Comparison

MAX_CELL_CHARS = 300
MAX_CHANGES = 8  # in a cell of the table
_KINDS = {
    "changed": "changed",
    "moved": "moved",
    "only_first": "only in the first",
    "only_second": "only in the second",
}


class CompareRequest(Wire):
    """``POST /v1/compare``."""

    files: list[FileContent] = Field(min_length=2, max_length=2)
    include_same: bool = Field(False, description="rows of what is the same, too")
    preset: str | None = Field(None, description="how the pages are drawn that the boxes are of; None: the service's")
    render: dict[str, Any] = Field(default_factory=dict)


def parse_compare_request(body: bytes | bytearray) -> CompareRequest:
    """Raises InvalidRequestError that names the field at fault."""
    return checked(CompareRequest, json_of(body))


def comparison_json(comparison: Comparison, *, include_same: bool = False) -> Json:
    rows = [row for row in comparison.rows if include_same or row.kind != "same"]
    return {
        "object": "comparison",
        "documents": list(comparison.names),
        "counts": comparison.counts,
        "rows": [_row_json(row) for row in rows],
        "markdown": comparison_markdown(comparison),
        "warnings": list(comparison.warnings),
    }


def _row_json(row: ComparedClauses) -> Json:
    return {
        "kind": row.kind,
        "similarity": round(row.similarity, 4),
        "first": _clause_json(row.first) if row.first else None,
        "second": _clause_json(row.second) if row.second else None,
        "changes": [{"first": change.first, "second": change.second} for change in row.changes],
    }


def _clause_json(clause: CitedClause) -> Json:
    return {
        "label": clause.label,
        "text": clause.text,
        "offset": clause.offset,
        "length": clause.length,
        "page_index": clause.page_index,
        "regions": [region_json(region) for region in clause.regions],
    }


def comparison_markdown(comparison: Comparison) -> str:
    """What differs, a row for each clause."""
    first, second = (_cell(name) for name in comparison.names)
    counts = comparison.counts
    lines = [
        f"# {first} and {second}",
        "",
        f"Clauses: {counts['same']} the same, {counts['changed']} changed, {counts['moved']} moved, "
        f"{counts['only_first']} only in {first}, {counts['only_second']} only in {second}.",
    ]
    lines += ["", *(f"*{warning}*" for warning in comparison.warnings)] if comparison.warnings else []
    rows = [row for row in comparison.rows if row.kind != "same"]
    if rows:
        lines += ["", f"| | {first} | {second} | what differs |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: ComparedClauses) -> Iterator[str]:
    yield _KINDS[row.kind]
    yield _clause_cell(row.first)
    yield _clause_cell(row.second)
    changes = [f"{_struck(change.first)}{_strong(change.second)}" for change in row.changes[:MAX_CHANGES]]
    yield "; ".join(changes) + ("; …" if len(row.changes) > MAX_CHANGES else "")


def _clause_cell(clause: CitedClause | None) -> str:
    if clause is None:
        return ""
    place = "" if clause.page_index is None else f" (page {clause.page_index + 1})"
    return _cell(clause.text) + place


def _struck(text: str) -> str:
    return f"~~{_cell(text)}~~" if text else ""


def _strong(text: str) -> str:
    return f" **{_cell(text)}**" if text else ""


def _cell(text: str) -> str:
    shown = text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 1] + "…"
    for mark in "\\|*~_<`":
        shown = shown.replace(mark, f"\\{mark}")
    return " ".join(shown.split())
