"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from glyph_core.config import PRESETS

DOCUMENTS = "PDF, DOCX, HTML, Markdown, text, code, TIFF, PNG or JPEG"
MODEL_HELP = "glyph-mini, a checkpoint folder, or a hub id such as zai-org/Glyph"


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise typer.BadParameter(f"there is no preset {name!r}; there are: {', '.join(PRESETS)}")
    return name


Preset = Annotated[
    str | None,
    typer.Option(
        parser=_preset, metavar="NAME", help=f"how pages are drawn: {', '.join(PRESETS)}; else as the model expects"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout and nothing else")]
