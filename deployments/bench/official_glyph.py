"""The official Glyph's way from text to pages, as a yardstick: reportlab → PDF → poppler → Pillow → PNG.

Follows ``scripts/word2png_function.py`` of https://github.com/thu-coai/Glyph (commit 61afa7f) under its
``config/config_en.json`` and ``config_zh.json``, with the same libraries: paragraphs of 30 lines, pages of 595×842 pt
at 72 dpi, font 9, leading 10, margins of 10, cropped to the right edge and, on the last page, below the last line.
Only the fonts are others, the ones that we draw with ourselves: DejaVu Sans for Verdana, Droid Sans Fallback for
Source Han Sans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pymupdf
from pdf2image import convert_from_bytes, pdfinfo_from_bytes
from PIL import Image
from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate

PAGE_SIZE_PT = (595.0, 842.0)
MARGIN_PT = 10
FONT_SIZE_PT, LEADING_PT = 9, 10
DPI = 72
LINES_OF_A_PARAGRAPH = 30
PAGES_OF_A_CALL = 20  # that poppler rasterises at once
TOLERANCE = 5  # gray levels from the background that count as ink

_CJK = re.compile("[\u4e00-\u9fff]")
_SPACES = re.compile(" {2,}")


def text_to_images(text: str, folder: Path) -> list[Path]:
    """Writes ``folder/page_001.png`` …, the pages of ``text``."""
    pdf = _pdf_of(text)
    num_pages = int(pdfinfo_from_bytes(pdf)["Pages"])
    written = []
    for number, image in _rasterised(pdf, num_pages):
        written.append(folder / f"page_{number:03d}.png")
        _cropped(image, is_last=number == num_pages).save(written[-1], "PNG")
    return written


def _pdf_of(text: str) -> bytes:
    is_chinese = _CJK.search(text) is not None
    style = ParagraphStyle(
        name="Custom",
        parent=getSampleStyleSheet()["Normal"],
        fontName=_font("cjk" if is_chinese else "sans"),
        fontSize=FONT_SIZE_PT,
        leading=LEADING_PT,
        textColor=colors.black,
        backColor=colors.white,
        borderColor=colors.white,
        wordWrap="CJK" if is_chinese else None,
        alignment=TA_LEFT,
    )
    bare = text.replace("\xad", "").replace("\u200b", "")
    lines = _SPACES.sub(lambda run: "&nbsp;" * len(run.group()), escape(bare)).split("\n")
    starts = range(0, len(lines), LINES_OF_A_PARAGRAPH)
    story = [Paragraph("<br/>".join(lines[start : start + LINES_OF_A_PARAGRAPH]), style) for start in starts]
    buffer = BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), MARGIN_PT)
    document = SimpleDocTemplate(buffer, pagesize=PAGE_SIZE_PT, **margins)
    document.build(story, onFirstPage=_draw_background, onLaterPages=_draw_background)
    return buffer.getvalue()


@cache
def _font(name: str) -> str:
    """Registers the font with reportlab; returns what it is called there."""
    if name == "cjk":
        content = bytes(pymupdf.Font("cjk").buffer)
    else:
        content = files("glyph_core.rendering").joinpath("fonts", "DejaVuSans.ttf").read_bytes()
    pdfmetrics.registerFont(TTFont(name, BytesIO(content)))
    return name


def _draw_background(canvas: Canvas, _: SimpleDocTemplate) -> None:
    canvas.saveState()
    canvas.setFillColor(colors.white)
    canvas.rect(0, 0, *PAGE_SIZE_PT, stroke=0, fill=1)
    canvas.restoreState()


def _rasterised(pdf: bytes, num_pages: int) -> Iterator[tuple[int, Image.Image]]:
    for first in range(1, num_pages + 1, PAGES_OF_A_CALL):
        last = min(first + PAGES_OF_A_CALL - 1, num_pages)
        yield from enumerate(convert_from_bytes(pdf, dpi=DPI, first_page=first, last_page=last), start=first)


def _cropped(image: Image.Image, *, is_last: bool) -> Image.Image:
    gray = np.array(image.convert("L"))
    has_ink = np.abs(gray - np.median(gray[:2, :2])) > TOLERANCE
    columns, rows = (np.flatnonzero(has_ink.any(axis=axis)) for axis in (0, 1))
    right = min(image.width, columns[-1] + 1 + MARGIN_PT) if len(columns) else image.width
    bottom = min(image.height, rows[-1] + MARGIN_PT) if is_last and len(rows) else image.height
    return image.crop((0, 0, right, bottom))
