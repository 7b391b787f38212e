"""The seed article's ``render_text_to_image``, as a yardstick: Pillow, one ``draw.text`` a line, one tall image.

Lines are wrapped by counting characters against the width of an X, without measuring; words that are wider than a
line run over the edge, and Chinese, which has no spaces, is never wrapped. All of that is the original's.
"""

from __future__ import annotations

from importlib.resources import as_file, files

from PIL import Image, ImageDraw, ImageFont

FONT_SIZE_PX = 14
WIDTH_PX = 1024
MARGIN_PX = 10


def render_text_to_image(text: str, font_size: int = FONT_SIZE_PX, width_px: int = WIDTH_PX) -> Image.Image:
    """``text`` as one RGB image, as tall as it needs to be."""
    with as_file(files("glyph_core.rendering").joinpath("fonts", "DejaVuSans.ttf")) as path:
        font = ImageFont.truetype(str(path), font_size)
    lines = _wrap(text, int((width_px - 2 * MARGIN_PX) // font.getlength("X")))
    line_height = int(font_size * 1.5)
    image = Image.new("RGB", (width_px, line_height * len(lines) + 2 * MARGIN_PX), "white")
    draw = ImageDraw.Draw(image)
    top = MARGIN_PX
    for line in lines:
        draw.text((MARGIN_PX, top), line, fill="black", font=font)
        top += line_height
    return image


def _wrap(text: str, max_chars: int) -> list[str]:
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if len(line) + len(word) + 1 <= max_chars:
                line = f"{line} {word}" if line else word
            else:
                lines.append(line)
                line = word
        lines.append(line)
    return lines
