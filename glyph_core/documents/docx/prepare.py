"""What mammoth loses is put in its way: formulas, fields, moved text, text boxes, other documents. Runs in a worker.

What HTML has no plain text for travels between two characters that no text has (Unicode noncharacters) and is put
in its place when mammoth has made HTML of the rest.
"""

from __future__ import annotations

import re

from lxml import etree

from glyph_core.documents.docx.numbering import read_numbering
from glyph_core.documents.docx.omml import latex_of
from glyph_core.documents.docx.package import Package
from glyph_core.documents.docx.slim import slim
from glyph_core.documents.symbols import readable

_WORD = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
)
# Wrappers whose content mammoth would drop with them
_UNWRAPPED = frozenset({"fldSimple", "dir", "bdo", "moveTo", "ruby", "rubyBase", "rt", "smartTag", "customXml"})
_INLINE, _DISPLAY, _CHUNK, _LABEL, _END = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3", "\ufdd4"
_SENT = re.compile(f"[{_INLINE}-{_END}]")
_FORMULA = re.compile(f"([{_INLINE}{_DISPLAY}])([^{_END}]*){_END}")
_LABEL_TEXT = re.compile(f"{_LABEL}([0-9]+) ([^{_END}]*){_END}")
_CHUNK_PARAGRAPH = re.compile(f"<p>{_CHUNK}([^{_END}]*){_END}</p>")
_BODY = re.compile(r"<body[^>]*>(.*?)(?:</body>|$)", re.IGNORECASE | re.DOTALL)
_BACK_LINK = re.compile(r'\s*<a href="#[^"]*(?:footnote|endnote)-ref-[^"]*">↑</a>')


def prepare(package: Package) -> None:
    """Rewrite the parts of ``package`` that hold text."""
    for part in [part for part in package.parts if re.fullmatch(r"word/(document\d*|footnotes|endnotes)\.xml", part)]:
        root = package.xml(part)
        for text in root.iter("{*}t"):
            if text.text and not text.text.isascii():
                text.text = readable(_SENT.sub("", text.text), _font_of(text.getparent()))
        if "word/numbering.xml" in package.parts:
            _write_labels(root, package)
        _choose_alternatives(root)
        _free_text_boxes(root)
        _write_formulas(root)
        _unwrap(root)
        _mark_chunks(root)
        slim(root)
        package.parts[part] = etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def finish(html: str, package: Package) -> str:
    """mammoth's ``html`` with what :func:`prepare` had put aside."""
    html = _CHUNK_PARAGRAPH.sub(lambda match: _chunk(match[1], package), _BACK_LINK.sub("", html))
    return _LABEL_TEXT.sub(_label, _FORMULA.sub(_math, html))


def _label(match: re.Match[str]) -> str:
    label = match[2].replace('"', "&quot;")
    return f'<data class="glyph-label" data-level="{match[1]}" value="{label}"></data>'


def _math(match: re.Match[str]) -> str:
    latex = match[2].replace('"', "&quot;")  # mammoth has escaped the rest
    return f'<math display="{"block" if match[1] == _DISPLAY else "inline"}" alttext="{latex}"></math>'


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _word(element: etree._Element, name: str) -> str:
    """``name`` in the namespace of Word that the tree of ``element`` uses."""
    namespaces = element.nsmap.values()
    return f"{{{next((space for space in _WORD if space in namespaces), _WORD[0])}}}{name}"


def _run(near: etree._Element, text: str) -> etree._Element:
    run = etree.Element(_word(near, "r"))
    written = etree.SubElement(run, _word(near, "t"))
    written.text = text
    return run


def _choose_alternatives(root: etree._Element) -> None:
    """mammoth reads only the fallback of an alternative; where text stands only in the choice, that becomes it."""
    for alternative in list(root.iter("{*}AlternateContent")):
        choice, fallback = alternative.find("{*}Choice"), alternative.find("{*}Fallback")
        if choice is None:
            continue
        if fallback is None or (_has_text(choice) and not _has_text(fallback)):
            if fallback is not None:
                alternative.remove(fallback)
            choice.tag = choice.tag.replace("Choice", "Fallback")


def _font_of(run: etree._Element) -> str:
    fonts = run.find("{*}rPr/{*}rFonts")
    named = {} if fonts is None else {etree.QName(key).localname: value for key, value in fonts.attrib.items()}
    return named.get("ascii") or named.get("hAnsi") or ""


def _has_text(element: etree._Element) -> bool:
    return any(text.text for text in element.iter("{*}t"))


def _free_text_boxes(root: etree._Element) -> None:
    """Text boxes of DrawingML, which mammoth does not look into, as those of VML, which it does."""
    for drawing in list(root.iter("{*}drawing")):
        for box in list(drawing.iter("{*}txbxContent")):
            if drawing.getparent() is not None:
                vml = etree.Element("{urn:schemas-microsoft-com:vml}textbox")
                vml.append(box)
                shape = etree.Element(_word(drawing, "pict"))
                shape.append(vml)
                drawing.addnext(shape)


def _write_formulas(root: etree._Element) -> None:
    for formula in [*root.iter("{*}oMathPara"), *root.iter("{*}oMath")]:
        parent = formula.getparent()
        if parent is None or any(_name(above) == "oMathPara" for above in formula.iterancestors()):
            continue
        sign = _DISPLAY if _name(formula) == "oMathPara" else _INLINE
        single = list(formula) if sign == _DISPLAY else [formula]
        runs = [
            _run(parent, f"{sign}{_SENT.sub('', latex)}{_END}")
            for part in single
            if (latex := latex_of(part) or " ".join("".join(part.itertext()).split()))
        ]
        for run in reversed(runs):
            formula.addnext(run)
        if not runs:
            continue
        runs[-1].tail, formula.tail = formula.tail, None
        parent.remove(formula)


def _write_labels(root: etree._Element, package: Package) -> None:
    """The number of each numbered paragraph as its first characters."""
    styles = package.xml("word/styles.xml") if "word/styles.xml" in package.parts else None
    try:
        numbering = read_numbering(package.xml("word/numbering.xml"), styles)
    except ValueError as error:  # a number that is none
        raise package.damaged(error) from error
    for paragraph in root.iter("{*}p"):
        if etree.QName(paragraph).namespace in _WORD and (label := numbering.label(paragraph)) is not None:
            properties = paragraph.find("{*}pPr")
            text = f"{_LABEL}{label[1]} {_SENT.sub('', label[0])}{_END}"
            paragraph.insert(0 if properties is None else paragraph.index(properties) + 1, _run(paragraph, text))


def _unwrap(root: etree._Element) -> None:
    for wrapper in [element for element in root.iter() if _name(element) in _UNWRAPPED]:
        parent = wrapper.getparent()
        if parent is not None:
            at = parent.index(wrapper)
            parent[at : at + 1] = [child for child in wrapper if not _name(child).endswith("Pr")]


def _mark_chunks(root: etree._Element) -> None:
    for chunk in list(root.iter("{*}altChunk")):
        relation = next((value for key, value in chunk.attrib.items() if etree.QName(key).localname == "id"), "")
        paragraph = etree.Element(_word(chunk, "p"))
        paragraph.append(_run(chunk, f"{_CHUNK}{relation}{_END}"))
        chunk.getparent().replace(chunk, paragraph)


def _chunk(relation: str, package: Package) -> str:
    """The body of the HTML document that ``relation`` names, if it is one."""
    for found in package.xml("word/_rels/document.xml.rels"):
        if found.get("Id") == relation:
            part = (found.get("Target") or "").lstrip("/")
            content = package.parts.get(f"word/{part}") or package.parts.get(part) or b""
            if b"<" in content[:1024]:
                html = content.decode("utf-8", "replace")
                body = _BODY.search(html)
                return f"<div>{body[1] if body else html}</div>"
    return ""


def margin_texts(package: Package, kind: str) -> list[str]:
    """The different texts of the headers (``kind`` "header") or footers, a paragraph a line, in their order."""
    texts: list[str] = []
    for part in sorted(part for part in package.parts if re.fullmatch(rf"word/{kind}\d*\.xml", part)):
        paragraphs = ("".join(t.text or "" for t in p.iter("{*}t")) for p in package.xml(part).iter("{*}p"))
        text = "\n".join(line for paragraph in paragraphs if (line := paragraph.strip()))
        if text and text not in texts:
            texts.append(text)
    return texts
