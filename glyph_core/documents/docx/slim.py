"""What mammoth builds a tree of and then makes nothing of is taken out before: half of its time. Runs in a worker."""

from __future__ import annotations

from lxml import etree

_IDLE = frozenset(
    {"bookmarkStart", "bookmarkEnd", "proofErr", "lastRenderedPageBreak", "permStart", "permEnd", "sectPr", "tblGrid"}
)
_KEPT = {  # properties that mammoth turns into something, by what they are of
    "rPr": frozenset({"rStyle", "b", "i", "vertAlign", "del"}),
    "pPr": frozenset({"pStyle", "numPr", "rPr"}),
    "tcPr": frozenset({"gridSpan", "vMerge"}),
    "trPr": frozenset({"tblHeader", "del"}),
    "tblPr": frozenset({"tblStyle"}),
}
_MERGED = frozenset({"t", "tab", "br", "noBreakHyphen", "cr"})  # what a run may hold to be joined to the one before
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"


def slim(root: etree._Element) -> None:
    """Take idle elements out of ``root`` and join runs that look alike; the text stays as it is."""
    for element in list(root.iter("{*}*")):
        name = element.tag.rpartition("}")[2]
        parent = element.getparent()
        if parent is None:
            continue
        if name in _IDLE:
            parent.remove(element)
        elif name in ("p", "r", "tr"):
            for attribute in list(element.attrib):  # of revisions; Word has no others here
                del element.attrib[attribute]
        elif name in _KEPT:
            for child in list(element):
                if child.tag.rpartition("}")[2] not in _KEPT[name]:
                    element.remove(child)
    for paragraph in root.iter("{*}p"):
        _join_runs(paragraph)


def _join_runs(paragraph: etree._Element) -> None:
    before, look = None, b""
    for child in list(paragraph):
        if not _is_plain_run(child):
            before = None
            continue
        properties = child.find("{*}rPr")
        own_look = b"" if properties is None else etree.tostring(properties, with_tail=False)
        if before is None or own_look != look:
            before, look = child, own_look
            continue
        for part in list(child):
            if part.tag.rpartition("}")[2] != "rPr":
                _append(before, part)
        paragraph.remove(child)


def _is_plain_run(element: etree._Element) -> bool:
    if element.tag.rpartition("}")[2] != "r":
        return False
    return all(child.tag.rpartition("}")[2] in _MERGED or child.tag.rpartition("}")[2] == "rPr" for child in element)


def _append(run: etree._Element, part: etree._Element) -> None:
    last = run[-1] if len(run) else None
    if last is not None and part.tag.rpartition("}")[2] == "t" and last.tag.rpartition("}")[2] == "t":
        last.text = (last.text or "") + (part.text or "")
        last.set(_SPACE, "preserve")
    else:
        run.append(part)
