"""Pages of every kind, drawn once and looked at: ``tests/golden/pictures``.

``python -m tests.rendering.pictures`` draws them anew. Look at each of them before you commit it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pymupdf
from PIL import Image

from glyph_core.config import RenderConfig, preset
from glyph_core.documents.blocks import Block, Cell, FormulaBlock, Mark, TableBlock, TextBlock
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource
from tests.rendering.documents import laid_out

FOLDER = Path(__file__).parents[1] / "golden" / "pictures"
ENGLISH, CHINESE = preset("glyph-en"), preset("glyph-zh")
HIGHLIGHTED = ENGLISH.model_copy(update={"highlight": True})
COMPACT = preset("compact").model_copy(update={"page_width_px": 560, "page_height_px": 420})

PROSE = (
    "The lamp was lit an hour before dusk, and by the time the last boat came in, its light lay on the water like a "
    "plank. “You are late,” the keeper said – not unkindly – and took the rope. Nobody on the mole spoke of the "
    "weather; it had been spoken of enough. Three crates of oranges (one burst), the post, a barometer for Dr. "
    "Ångström, and a letter that nobody had expected: that was all that the Fürstin Łucja had carried through 40 "
    "miles of fog."
)
_SPOKEN = PROSE.index("“")
CHINESE_PROSE = (
    "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦；及秦灭之后，楚、汉分争，又并入于汉。汉朝自高祖斩白蛇而起义，"
    "一统天下，后来光武中兴，传至献帝，遂分为三国。推其致乱之由，殆始于桓、灵二帝。“宴桃园豪杰三结义，斩黄巾英雄首立功”——"
    "第一回（共120回）如是说：Chapter 1，约 3,500 字。"
)
CODE = '''def total(entries: dict[str, float]) -> float:
    """Sum of 所有条目 (all entries), in 元."""
\tresult = 0.0  # 总数
    for name, amount in entries.items():
        print(f"{name:<10}|{amount:>8.2f}")  # 对齐
        result += amount
    return result

名称    | qty |  价格
苹果    |   3 | 12.50
pears   |  12 |  8.00
'''
MATRICES = (
    r"A^{-1} = \frac{1}{ad-bc}\begin{pmatrix} d & -b \\ -c & a \end{pmatrix}",
    r"|x| = \begin{cases} x & \text{if } x \ge 0 \\ -x & \text{otherwise} \end{cases}",
    r"\int_{-\infty}^{\infty} e^{-x^2/2}\,dx = \sqrt{2\pi}, \qquad \sum_{n=1}^{\infty} \frac{1}{n^2} = \frac{\pi^2}{6}",
)
ARABIC = (
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم بعضًا بروح الإخاء.",
    "المادة 1 (UDHR, Paris 1948): لكل إنسان حق التمتع بكافة الحقوق والحريات الواردة في هذا الإعلان.",
    "כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
)


def wide_table() -> TableBlock:
    remarks = ("", "kept dry", "to be weighed on arrival and again at the gate, before the seal is broken")
    rows = [[Cell("No."), Cell("Goods 货物"), Cell("Of that", 1, 2), Cell("Remarks")]]
    rows += [[Cell(""), Cell(""), Cell("sold"), Cell("left"), Cell("")]]
    for row in range(1, 22):
        cells = [Cell(str(row)), Cell(("Tea 茶", "Sugar 糖", "Oranges")[row % 3])]
        rows.append([*cells, Cell(f"{row * 37}.50"), Cell(f"{900 - row * 37:,}"), Cell(remarks[row % 3])])
    rows[10] = [*rows[10][:4], Cell("these three came on one boat", 3, 1)]
    rows[11], rows[12] = rows[11][:4], rows[12][:4]
    return TableBlock(tuple(map(tuple, rows)), 2)


def of_blocks(config: RenderConfig, *blocks: Block) -> list[np.ndarray]:
    pages = laid_out(config, *blocks)
    return [page.pixels for page in pages.draw(0, len(pages.sizes))]


def scan() -> list[np.ndarray]:
    """A PDF that holds a picture of a page, a little turned and dirty, shown as the file draws it."""
    (page,) = of_blocks(preset("readable").model_copy(update={"page_width_px": 720}), TextBlock(PROSE))
    dirty = page.astype(np.int16) - np.random.default_rng(0).integers(0, 60, page.shape)
    turned = Image.fromarray(np.clip(dirty, 0, 255).astype(np.uint8)).rotate(
        1.5, Image.Resampling.BICUBIC, fillcolor=230
    )
    pdf = pymupdf.open()
    sheet = pdf.new_page(width=turned.width * 0.6, height=turned.height * 0.6)
    sheet.insert_image(sheet.rect, pixmap=pymupdf.Pixmap(pymupdf.csGRAY, *turned.size, turned.tobytes(), False))
    source = DocumentSource("scan.pdf", pdf.tobytes(deflate=True))
    renderer = PageRenderer(preset("readable"))
    return [page.pixels for page in renderer.render(source, 0, renderer.plan(source).num_pages)]


DRAWN: dict[str, Callable[[], list[np.ndarray]]] = {
    "prose": lambda: of_blocks(
        COMPACT, TextBlock("The keeper of the lamp", "heading", 1),
        TextBlock(PROSE, "paragraph", marks=(Mark(4, 8, "bold"), Mark(_SPOKEN, _SPOKEN + 15, "italic"))),
        TextBlock("Oranges, three crates", "item", marker="•"), TextBlock("one burst", "item", 1, marker="–"),
        TextBlock("Of 1911, by the parish’s own count.", "note", marker="[1]"),
    ),
    "dense": lambda: of_blocks(ENGLISH, TextBlock("\n\n".join([PROSE] * 3))),
    "chinese": lambda: of_blocks(CHINESE, TextBlock("\n\n".join([CHINESE_PROSE] * 3))),
    "code": lambda: of_blocks(HIGHLIGHTED, TextBlock(CODE, "code", language="python")),
    "table": lambda: of_blocks(COMPACT, TextBlock("The goods are:", "paragraph"), wide_table()),
    "formulas": lambda: of_blocks(COMPACT, TextBlock("It holds that", "paragraph"), *map(FormulaBlock, MATRICES)),
    "arabic": lambda: of_blocks(COMPACT, *(TextBlock(text, "paragraph") for text in ARABIC)),
    "scan": scan,
}  # fmt: skip


def path_of(name: str, page: int) -> Path:
    return FOLDER / f"{name}-{page}.png"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, draw in DRAWN.items():
        for number, pixels in enumerate(draw()):
            Image.fromarray(pixels).save(path_of(name, number), optimize=True)
