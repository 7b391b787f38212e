"""``glyph compare``: two documents clause by clause, in this process or at an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import httpx

from deployments.client import endpoint_client, file_json, reply_in, root_of, unreachable
from deployments.comparisons import comparison_json
from deployments.openai_answers import Json
from glyph_core.config import PRESETS
from glyph_core.documents.source import read_source

DEFAULT_PRESET = "mini"  # it decides only which pages are named


def compare_in_process(files: Sequence[Path], preset: str | None, *, include_same: bool) -> Json:
    """Raises an InvalidInputError for what cannot be read."""
    from glyph_core.evidence.comparison import compare
    from glyph_core.rendering.renderer import PageRenderer

    first, second = (read_source(file) for file in files)
    return comparison_json(
        compare(PageRenderer(PRESETS[preset or DEFAULT_PRESET]), first, second), include_same=include_same
    )


def compare_at_endpoint(files: Sequence[Path], preset: str | None, url: str, *, include_same: bool) -> Json:
    """Raises the endpoint's own error, and StageError where it is out of reach."""
    base_url = f"{root_of(url)}/v1"
    documents = [read_source(file) for file in files]
    body = {"files": [file_json(each.name, each.content) for each in documents], "include_same": include_same}
    try:
        with endpoint_client(base_url) as client:
            return reply_in(client.post("/compare", json=body | ({"preset": preset} if preset else {})))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(base_url, error) from error
