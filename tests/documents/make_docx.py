"""Small DOCX files that tests write themselves."""

from __future__ import annotations

import io
import zipfile

from glyph_core.types import DocumentSource

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
M = "http://schemas.openxmlformats.org/officeDocument/2006/math"
SPACES = (
    f'xmlns:w="{W}" xmlns:m="{M}" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)
_OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*content: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}{''.join(content)}</w:p>"


def docx(*body: str, head: str = "", parts: dict[str, str | bytes] | None = None) -> DocumentSource:
    """A DOCX with ``body`` in its main part; ``parts`` are further ones, related to it where they are XML."""
    parts = dict(parts or {})
    related = [part for part in parts if part.startswith("word/") and part.endswith(".xml")]
    overrides = "".join(
        f'<Override PartName="/{part}" ContentType="{_OFFICE}.{kind_of(part)}+xml"/>'
        for part in ["word/document.xml", *related]
    )
    relations = "".join(
        f'<Relationship Id="rId{i}" Type="{_RELATION}/{kind_of(part)}" Target="{part.removeprefix("word/")}"/>'
        for i, part in enumerate(related, 1)
    )
    space = 'xmlns="http://schemas.openxmlformats.org/package/2006/'
    written: dict[str, str | bytes] = {
        "[Content_Types].xml": f'<Types {space}content-types"><Default Extension="rels" ContentType='
        f'"application/vnd.openxmlformats-package.relationships+xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships {space}relationships"><Relationship Id="rId1" '
        f'Type="{_RELATION}/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships {space}relationships">{relations}</Relationships>',
        "word/document.xml": f"{head}<w:document {SPACES}><w:body>{''.join(body)}</w:body></w:document>",
        **parts,
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in written.items():
            archive.writestr(name, content)
    return DocumentSource("a.docx", stream.getvalue())


def kind_of(part: str) -> str:
    name = part.rsplit("/", 1)[-1].removesuffix(".xml").rstrip("0123456789")
    return {"document": "document.main"}.get(name, name)
