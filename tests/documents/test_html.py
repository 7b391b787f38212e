"""HTML as blocks: what a browser shows, in order, and nothing else."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from glyph_core.config import LimitConfig
from glyph_core.documents.blocks import Block, Cell, Document, FigureBlock, FormulaBlock, Mark, TableBlock, TextBlock
from glyph_core.documents.html.tables import MAX_GRID
from glyph_core.documents.parse import parse
from glyph_core.documents.sniff import is_html
from glyph_core.errors import EmptyDocumentError
from glyph_core.types import DocumentSource

LIMITS = LimitConfig()


def read(html: str | bytes) -> Document:
    content = html.encode() if isinstance(html, str) else html
    return parse(DocumentSource("a.html", content), LIMITS)


def blocks(body: str) -> tuple[Block, ...]:
    return read(f"<!doctype html><html><body>{body}</body></html>").blocks


def test_headings_paragraphs_and_marks() -> None:
    made = blocks("<h2>Notice  <em>period</em></h2>\n<p>It is <b>sixty\n days</b>,\n<br>in writing.<p>End")
    assert made == (
        TextBlock("Notice period", "heading", 2, marks=(Mark(7, 13, "italic"),)),
        TextBlock("It is sixty days,\nin writing.", "paragraph", marks=(Mark(6, 16, "bold"),)),
        TextBlock("End", "paragraph"),
    )


def test_unknown_elements_stand_in_the_line() -> None:
    (block,) = blocks("<p><ix:nonNumeric>6480 Road</ix:nonNumeric>, <my-town>Las Vegas</my-town>, NV</p>")
    assert block.text == "6480 Road, Las Vegas, NV"


def test_lists() -> None:
    made = blocks(
        "<ol start=3 type=a><li>three<li>four<ul><li>inner<p>more of it</ul><li value=9>nine</ol>"
        "<ol type=I><li>one</li><li><p>two</p></ol><ul><li><table><tr><td>x<td>y</table>after"
    )
    assert [(b.text, b.marker, b.level) for b in made if isinstance(b, TextBlock)] == [
        ("three", "c.", 0),
        ("four", "d.", 0),
        ("inner", "◦", 1),
        ("more of it", "", 1),
        ("nine", "i.", 0),
        ("one", "I.", 0),
        ("two", "II.", 0),
        ("after", "•", 0),
    ]


def test_the_number_of_an_item_stays_with_its_heading() -> None:
    made = blocks("<ol start=4><li><h3>Rent, <em>due</em></h3><p>Monthly.</ol><ul><li><h3>Scope</h3></ul>")
    assert made == (
        TextBlock("4. Rent, due", "heading", 3, marks=(Mark(9, 12, "italic"),)),
        TextBlock("Monthly.", "item"),
        TextBlock("Scope", "heading", 3),
    )


def test_tables_keep_their_spans_and_lose_empty_columns() -> None:
    (table,) = blocks(
        "<table><thead><tr><th rowspan=2>Year<th colspan=3>Sum</thead><tr><th><th>net<th>gross"
        "<tr><td>2019<td>$<td>1<br>2<td><ul><li>a<li>b</ul></table>"
    )
    assert table == TableBlock(
        (
            (Cell("Year", 2, 1), Cell("Sum", 1, 3)),
            (Cell("", 1, 1), Cell("net"), Cell("gross")),
            (Cell("2019"), Cell("$"), Cell("1\n2"), Cell("• a\n• b")),
        ),
        num_header_rows=2,
    )
    (padded,) = blocks("<table><tr><td>a<td><td>b<tr><td>c<td> <td>d<tr><td colspan=3>e</table>")
    assert isinstance(padded, TableBlock)
    assert padded.rows == ((Cell("a"), Cell("b")), (Cell("c"), Cell("d")), (Cell("e", 1, 2),))


def test_a_table_that_holds_tables_arranges_them() -> None:
    made = blocks("<table><tr><td>left<td><table><tr><td>1<td>2</table><tr><td>last</table>")
    assert [block.text for block in made] == ["left", "1\t2", "last"]
    assert isinstance(made[1], TableBlock)


def test_spans_that_would_fill_the_memory_are_left_out() -> None:
    """A page of 100 kB whose cells cover a hundred million places, in the renderer's own process."""
    (wide,) = blocks("<table><tr>" + "<td rowspan=65534>x" * 2000 + "<tr><td>y" * 2000)
    (long,) = blocks(f"<table><tr><td rowspan=65534>{'x' * 10_000}<td>z" + "<tr><td>y" * 2000)
    for table in (wide, long):
        assert isinstance(table, TableBlock)
        cells = [cell for row in table.rows for cell in row]
        assert sum(cell.row_span * max(cell.column_span, len(cell.text)) for cell in cells) <= MAX_GRID
        assert cells[-1].text == "y"


def test_a_number_of_thousands_of_digits_is_a_large_one() -> None:
    nines = "9" * 5000
    *items, table = blocks(
        f"<ol><li value={nines}>a</ol><ol start=-{nines}><li>b</ol>"
        f"<table><tr><td colspan={nines}>c<td>d<tr><td>e</table>"
    )
    markers = [(item.marker, item.text) for item in items if isinstance(item, TextBlock)]
    assert markers == [("1000000000.", "a"), ("-1000000000.", "b")]
    assert table.text == "c\td\ne"


@pytest.mark.parametrize("spans", ["rowspan=0", "rowspan=99999999", "colspan=99999999", "colspan=-1", "colspan=x"])
def test_absurd_spans(spans: str) -> None:
    (table,) = blocks(f"<table><tr><td {spans}>a<td>b<tr><td>c</table>")
    assert isinstance(table, TableBlock)
    assert [cell.text for row in table.rows for cell in row] == ["a", "b", "c"]
    assert all(cell.row_span <= 2 and cell.column_span <= 1000 for row in table.rows for cell in row)


def test_code_keeps_its_lines_and_names_its_language() -> None:
    made = blocks('<pre><code class="language-python">def f():\n    return  1\n</code></pre><p>Use <code>f()</code>.')
    assert made[0] == TextBlock("def f():\n    return  1", "code", language="python")
    assert made[1] == TextBlock("Use f().", "paragraph", marks=(Mark(4, 7, "code"),))


def test_formulas() -> None:
    tex = '<annotation encoding="application/x-tex">a^2</annotation>'
    made = blocks(
        f"<p>with <math><semantics><mi>a</mi>{tex}</semantics></math> inside</p>"
        f'<math display="block"><semantics><mi>a</mi>{tex}</semantics></math>'
        '<p>and <math alttext="{\\displaystyle x_1}"><mi>x</mi></math>, <math><mi>y</mi><mn>2</mn></math>'
        f'<span class="katex"><math>{tex}</math><span class="katex-html">a2</span></span>'
    )
    assert made[0] == TextBlock("with a^2 inside", "paragraph", marks=(Mark(5, 8, "formula"),))
    assert made[1] == FormulaBlock("a^2")
    assert made[2].text == "and x_1 , y2 a^2"


def test_what_is_not_shown_is_left_out() -> None:
    (block,) = blocks(
        "<script>a</script><style>b</style><template>c</template><noscript>d</noscript><!-- e --><p hidden>f</p>"
        "<div style='color:red; DISPLAY : none'>g<p>h</div><span style='visibility:hidden'>i</span>shown"
        "<svg><title>j</title></svg>"
    )
    assert block.text == "shown"


def test_pictures_that_the_page_carries() -> None:
    stream = io.BytesIO()
    Image.new("L", (60, 40), 7).save(stream, "PNG")
    address = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    document = read(f"<html><body>before<img src='{address}' alt='chart'>after<img src='https://a.b/c.png'>")
    before, figure, after = document.blocks
    assert isinstance(figure, FigureBlock)
    assert (figure.pixels.shape, figure.text, before.text, after.text) == ((40, 60), "chart", "before", "after")
    assert document.warnings[0].startswith("1 picture of 'a.html'")


def test_deep_trees_are_read() -> None:
    depth = 5_000
    assert read("<html><body>" + "<div>" * depth + "deep" + "</div>" * depth).text == "deep"
    assert read("<html><body>" + "<table><tr><td>" * 300 + "deep").text == "deep"


def test_a_page_without_text_is_empty() -> None:
    with pytest.raises(EmptyDocumentError, match=r"a\.html"):
        read("<html><head><title>x</title></head><body><script>1</script></body></html>")


@pytest.mark.parametrize(
    ("declaration", "encoding", "warns"),
    [
        ('<meta charset="utf-8">', "utf-8", False),
        ('<meta http-equiv="Content-Type" content="text/html; charset=gb2312">', "gb18030", False),
        ('<meta charset="shift_jis">', "cp932", False),
        ("", "utf-16", False),
        ('<meta charset="iso-8859-1">', "utf-8", False),  # it lies
        ('<meta charset="utf-8">', "gb18030", True),  # so does this
        ("", "gb18030", True),
    ],
)
def test_encodings(declaration: str, encoding: str, warns: bool) -> None:
    chinese, japanese = (
        "第一条 本法所称合同是民事主体之间设立、变更、终止民事法律关系的协议。",
        "契約は当事者の合意による",
    )
    text = japanese if encoding == "cp932" else chinese
    document = read(f"<html><head>{declaration}</head><body><p>{text}</body></html>".encode(encoding))
    assert document.text == text
    assert bool(document.warnings) == warns


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<!DOCTYPE html><p>x", True),
        ("\ufeff\n<!-- c --><html lang=en>", True),
        ('<?xml version="1.0"?><html>', True),
        ("<div>\n<p>x</p>\n</div>", True),
        ('<p align="center">\n  <b>Name</b>\n</p>\n\n# Heading\n\nText', False),
        ("<p>Text</p>\n\n- item\n\n<p>more</p>", False),
        ("<b>bold</b> begins this note, which goes on", False),
        ("a < b and <html> stands later", False),
        ("<?xml version='1.0'?><article/>", False),
    ],
)
def test_pages_are_told_from_text_with_tags(content: str, expected: bool) -> None:
    assert is_html(content.encode()) == expected


class VisibleText(HTMLParser):
    """An independent reader: Python's own, with the tags that are not shown."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"img", "br", "hr", "meta", "link", "input", "area", "base", "col", "embed", "source", "wbr"}:
            return
        given = dict(attrs)
        is_unseen = tag in {"script", "style", "head", "noscript", "template"} or "hidden" in given
        self._open.append((tag, is_unseen or bool(re.search(r"display\s*:\s*none", given.get("style") or ""))))

    def handle_endtag(self, tag: str) -> None:
        for index in reversed(range(len(self._open))):
            if self._open[index][0] == tag:
                del self._open[index:]
                return

    def handle_data(self, data: str) -> None:
        if not any(is_unseen for _, is_unseen in self._open):
            self.text.append(data)


PAGES = ["Hebrew-01", "ch10.zh-cn", "example-10k-1p", "html_rich_table_cells", "table_06", "wiki_duck"]


@pytest.mark.parametrize("name", PAGES)
def test_all_that_real_pages_show_is_there_in_order(name: str, shared_data: Path) -> None:
    content = (shared_data / "html_md" / f"{name}.html").read_bytes()
    reader = VisibleText()
    reader.feed(content.decode("utf-8-sig"))
    expected = "".join("".join(reader.text).split())
    # markers of items in cells are ours, and all of them stand before a space
    made = "".join(re.sub(r"(?m)(?:^|\t)(?:[•◦▪]|\d+\.) ", " ", read(content).text).split())
    assert made == expected
