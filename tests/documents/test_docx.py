"""DOCX as blocks: everything that its XML holds, in order, with tracked changes accepted."""

from __future__ import annotations

import difflib
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from glyph_core.config import LimitConfig
from glyph_core.documents.blocks import Cell, Document, FormulaBlock, Mark, TableBlock, TextBlock
from glyph_core.documents.parse import parse
from glyph_core.documents.source import read_source
from glyph_core.errors import DocumentTooLargeError, EmptyDocumentError, InvalidDocumentError
from glyph_core.types import DocumentSource
from tests.documents.make_docx import SPACES, W, docx, paragraph, run

LIMITS = LimitConfig(parse_timeout_s=120)  # these tests are not about speed


def read(source: DocumentSource) -> Document:
    return parse(source, LIMITS)


def test_tracked_changes_are_accepted() -> None:
    document = read(
        docx(
            paragraph(
                run("kept "),
                f"<w:ins>{run('added ')}</w:ins><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>",
                f"<w:moveFrom>{run('was here')}</w:moveFrom><w:moveTo>{run('is here')}</w:moveTo>",
            )
        )
    )
    assert document.text == "kept added is here"


def test_what_wraps_text_does_not_hide_it() -> None:
    box = f"<w:txbxContent>{paragraph(run('in a box'))}</w:txbxContent>"
    document = read(
        docx(
            paragraph(
                f'<w:fldSimple w:instr="PAGE">{run("7")}</w:fldSimple>',
                f'<w:dir w:val="rtl">{run(" שלום")}</w:dir><w:smartTag>{run(" tag")}</w:smartTag>',
                f"<w:sdt><w:sdtContent>{run(' control')}</w:sdtContent></w:sdt>",
                f"<w:ruby><w:rt>{run(' kan')}</w:rt><w:rubyBase>{run(' 漢')}</w:rubyBase></w:ruby>",
            ),
            paragraph(run("anchor"), f"<w:r><w:drawing><wps:txbx>{box}</wps:txbx></w:drawing></w:r>"),
            paragraph(
                "<w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing><wps:txbx>"
                f"<w:txbxContent>{paragraph(run('chosen'))}</w:txbxContent></wps:txbx></w:drawing></mc:Choice>"
                "<mc:Fallback/></mc:AlternateContent></w:r>"
            ),
        )
    )
    assert [block.text for block in document.blocks] == ["7 שלום tag control kan 漢", "anchor", "in a box", "chosen"]


def test_formulas_are_latex_in_the_line_and_on_their_own() -> None:
    square = (
        "<m:oMath><m:sSup><m:e><m:r><m:t>r</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:oMath>"
    )
    document = read(
        docx(
            paragraph(run("area "), square, run(" and &lt;more&gt;")), paragraph(f"<m:oMathPara>{square}</m:oMathPara>")
        )
    )
    assert document.blocks == (
        TextBlock("area r^2 and <more>", "paragraph", marks=(Mark(5, 8, "formula"),)),
        FormulaBlock("r^2"),
    )


def test_headings_tables_notes_headers_and_footers() -> None:
    header = f"<w:hdr {SPACES}>{paragraph(run('Confidential'))}</w:hdr>"
    document = read(
        docx(
            paragraph(run("Terms"), style="Heading1"),
            "<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val='2'/></w:tcPr>"
            f"{paragraph(run('wide'))}</w:tc></w:tr><w:tr><w:tc>{paragraph(run('a'))}</w:tc>"
            f"<w:tc>{paragraph(run('b'))}{paragraph(run('c'))}</w:tc></w:tr></w:tbl>",
            paragraph(run("See"), '<w:r><w:footnoteReference w:id="4"/></w:r>'),
            parts={
                "word/styles.xml": f'<w:styles {SPACES}><w:style w:type="paragraph" w:styleId="Heading1">'
                '<w:name w:val="heading 1"/></w:style></w:styles>',
                "word/footnotes.xml": f"<w:footnotes {SPACES}><w:footnote w:id='4'>{paragraph(run('the note'))}"
                "</w:footnote></w:footnotes>",
                "word/header1.xml": header,
                "word/header2.xml": header,
                "word/footer1.xml": f"<w:ftr {SPACES}>{paragraph(run('Page 1'))}</w:ftr>",
            },
        )
    )
    first, heading, table, see, note, last = document.blocks
    assert (first, last) == (TextBlock("Confidential", "note"), TextBlock("Page 1", "note"))
    assert heading == TextBlock("Terms", "heading", 1)
    assert isinstance(table, TableBlock)
    assert table.rows == ((Cell("wide", 1, 2),), (Cell("a"), Cell("b\nc")))
    assert (see.text, note.text) == ("See[1]", "the note")


def test_numbers_that_word_writes_are_counted() -> None:
    def level(index: int, number_format: str, text: str) -> str:
        return f'<w:lvl w:ilvl="{index}"><w:numFmt w:val="{number_format}"/><w:lvlText w:val="{text}"/></w:lvl>'

    levels = level(0, "upperRoman", "Article %1") + level(1, "decimal", "%1.%2") + level(2, "lowerLetter", "(%3)")
    numbering = (
        f'<w:numbering {SPACES}><w:abstractNum w:abstractNumId="7">{levels}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="7"/>'
        '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num></w:numbering>'
    )
    styles = (
        f'<w:styles {SPACES}><w:style w:type="paragraph" w:styleId="H"><w:name w:val="heading 1"/>'
        '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style></w:styles>'
    )

    def numbered(index: int, text: str, number: int = 1) -> str:
        properties = f'<w:numPr><w:ilvl w:val="{index}"/><w:numId w:val="{number}"/></w:numPr>'
        return f"<w:p><w:pPr>{properties}</w:pPr>{run(text)}</w:p>"

    document = read(
        docx(
            paragraph(run("Scope"), style="H"),
            numbered(1, "first"),
            numbered(2, "deep"),
            numbered(2, "deeper"),
            paragraph(run("between")),
            numbered(1, "second"),
            paragraph(run("Term"), style="H"),
            numbered(1, "again"),
            numbered(0, "restarted", 2),
            parts={"word/numbering.xml": numbering, "word/styles.xml": styles},
        )
    )
    assert [(block.kind, block.level, block.marker, block.text) for block in document.blocks] == [
        ("heading", 1, "", "Article I Scope"),
        ("item", 1, "I.1", "first"),
        ("item", 2, "(a)", "deep"),
        ("item", 2, "(b)", "deeper"),
        ("paragraph", 0, "", "between"),
        ("item", 1, "I.2", "second"),
        ("heading", 1, "", "Article II Term"),
        ("item", 1, "II.1", "again"),
        ("item", 0, "Article V", "restarted"),
    ]


def test_characters_of_symbol_fonts_are_those_that_they_look_like() -> None:
    symbol = '<w:r><w:rPr><w:rFonts w:ascii="Symbol"/></w:rPr><w:t>\uf061\uf0b7</w:t></w:r>'
    wingdings = '<w:r><w:rPr><w:rFonts w:ascii="Wingdings"/></w:rPr><w:t>\uf0fc</w:t></w:r>'
    assert read(docx(paragraph(symbol, wingdings, run("\uf0b7 x")))).text == "α•✓• x"


def test_runs_that_look_alike_are_one_text() -> None:
    bold = "<w:r w:rsidR='1'><w:rPr><w:b/><w:lang w:val='en'/></w:rPr><w:t>bo</w:t></w:r>"
    document = read(
        docx(paragraph(run("a "), bold, bold.replace("rsidR='1'", "rsidR='2'"), "<w:proofErr/>", run(" b")))
    )
    assert document.blocks == (TextBlock("a bobo b", "paragraph", marks=(Mark(2, 6, "bold"),)),)


def test_entities_are_not_put_in_and_nothing_is_fetched() -> None:
    head = '<!DOCTYPE d [<!ENTITY inner "ha"><!ENTITY file SYSTEM "file:///etc/hostname">]>'
    assert read(docx(paragraph(run("a&inner;b&file;c")), head=head)).text == "abc"


def test_an_entity_bomb_is_refused() -> None:
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha" * 10}">' for i in range(10))
    with pytest.raises(InvalidDocumentError, match="amplification"):
        read(docx(paragraph(run("a&l9;b")), head=f"<!DOCTYPE d [{laughs}]>"))


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(DocumentTooLargeError, match=r"a\.docx.*unpacks to \d+ MiB"):
        read(docx(paragraph(run("x")), parts={"word/media/zeros.bin": bytes(130 * 1024**2)}))


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        (docx(paragraph(run("x")), head="<!-- -->"), None, ""),
        (docx(), EmptyDocumentError, "no text"),
        (docx("<w:p>"), InvalidDocumentError, "damaged.*line 1"),
        (DocumentSource("a.docx", docx(paragraph(run("x"))).content[:700]), InvalidDocumentError, "not a zip"),
    ],
    ids=["whole", "empty", "no XML", "cut off"],
)
def test_damaged_packages(source: DocumentSource, error: type[Exception] | None, said: str) -> None:
    if error is None:
        assert read(source).text == "x"
        return
    with pytest.raises(error, match=said):
        read(source)


def test_a_chunk_of_html_stands_in_its_place() -> None:
    source = docx(
        paragraph(run("before")),
        '<w:altChunk r:id="rId1"/>',
        paragraph(run("after")),
        parts={"word/afchunk.xml": "<html><body><p>from <b>HTML</b></p></body></html>"},
    )
    assert read(source).text == "before\nfrom HTML\nafter"


def words_of_xml(path: Path) -> str:
    """The text of the DOCX's own XML: the body, then the notes as they are referred to; a text box stands after the
    paragraph that holds it."""
    archive = zipfile.ZipFile(path)
    notes = {
        (part, note.get(f"{{{W}}}id")): note
        for part in ("footnote", "endnote")
        if f"word/{part}s.xml" in archive.namelist()
        for note in ET.fromstring(archive.read(f"word/{part}s.xml"))
    }
    pieces: list[str] = []
    referred: list[ET.Element] = []

    def walk(element: ET.Element, boxes: list[ET.Element]) -> None:
        name = element.tag.rpartition("}")[2]
        if name in ("del", "moveFrom", "oMath", "instrText", "Choice"):
            return
        if name == "txbxContent":
            boxes.append(element)
            return
        if name in ("footnoteReference", "endnoteReference"):
            referred.append(notes[name.removesuffix("Reference"), element.get(f"{{{W}}}id")])
        space = " " if name in ("tab", "br", "p") else ""
        pieces.append({"t": element.text or "", "noBreakHyphen": "\u2011"}.get(name, space))
        own: list[ET.Element] = [] if name == "p" else boxes
        for child in element:
            walk(child, own)
        if name == "p":
            pieces.append(" ")
            for box in own:
                for child in box:
                    walk(child, [])

    walk(ET.fromstring(archive.read("word/document.xml")), [])
    for note in referred:
        walk(note, [])
    return "".join(pieces)


def text_without_formulas(document: Document) -> str:
    pieces = []
    for block in document.blocks:
        if isinstance(block, FormulaBlock) or (isinstance(block, TextBlock) and block.kind == "note"):
            continue
        text = block.text
        for mark in reversed(getattr(block, "marks", ())):
            if mark.kind == "formula":
                text = text[: mark.start] + text[mark.stop :]
        pieces.append(text)
    return " ".join(pieces)


def share_in_order(expected: str, made: str) -> float:
    """The share of the characters of ``expected`` that stand in ``made`` in the same order, told by words."""
    if "".join(expected.split()) == "".join(made.split()):
        return 1.0
    expected, made = (re.sub(r"\[\d+\]", "", text) for text in (expected, made))  # references to notes are ours
    if "".join(expected.split()) == "".join(made.split()):
        return 1.0
    a, b = (re.findall(r"[^\W\u3040-\u9fff]+|\S", text) for text in (expected, made))
    blocks = difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    return sum(len("".join(a[block.a : block.a + block.size])) for block in blocks) / len("".join(a))


DOCX = sorted(path.stem for path in (Path(__file__).resolve().parents[3] / "shared" / "data" / "docx").glob("*.docx"))


@pytest.mark.parametrize("name", [name for name in DOCX if name != "handbook-872p"])
def test_real_files_keep_their_text_in_order(name: str, shared_data: Path) -> None:
    path = shared_data / "docx" / f"{name}.docx"
    assert share_in_order(words_of_xml(path), text_without_formulas(read(read_source(path)))) >= 0.999


@pytest.mark.slow
def test_a_book_keeps_its_text_in_order(shared_data: Path) -> None:
    path = shared_data / "docx" / "handbook-872p.docx"
    expected, made = words_of_xml(path), text_without_formulas(read(read_source(path)))
    assert "".join(expected.split()) == "".join(re.sub(r"\[\d+\]", "", made).split())


def test_comments_are_told_where_there_are_some() -> None:
    said = '<w:comment w:id="0"><w:p><w:r><w:t>no</w:t></w:r></w:p></w:comment>'
    comment = f'<w:comments xmlns:w="{W}">{said}</w:comments>'
    told = read(docx(paragraph(run("x")), parts={"word/comments.xml": comment}))
    assert told.warnings == ("1 comment in 'a.docx' is left out",)
    # What describes comments may outlive them.
    left = read(docx(paragraph(run("x")), parts={"word/commentsExtended.xml": f'<w:x xmlns:w="{W}"/>'}))
    assert (left.text, left.warnings) == ("x", ())
