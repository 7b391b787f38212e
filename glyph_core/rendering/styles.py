"""In how many ways a character can be set: the styles of one configuration."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from glyph_core.config import RenderConfig
from glyph_core.rendering.fonts import FontName

_MONO_ADVANCE_EMS = 0.602  # of DejaVu Sans Mono


class Style(IntEnum):
    BODY = 0
    BOLD = 1
    ITALIC = 2
    CODE = 3  # in cells: a full-width character is twice as wide as a Latin one


class Look(NamedTuple):
    """What a style is under a configuration."""

    font: FontName
    cell_px: int  # advance of a Latin glyph; 0: the font's own
    bold: bool = False
    slanted: bool = False


def look_of(style: Style, config: RenderConfig) -> Look:
    body = Look(config.font, config.cell_width_px)
    if style == Style.CODE and not body.cell_px:
        return Look("mono", max(1, round(config.font_size_px * _MONO_ADVANCE_EMS)))
    if style == Style.BOLD and config.styled:
        return body._replace(bold=True)
    if style == Style.ITALIC and config.styled:
        return body._replace(slanted=True)
    return body
