"""The parts of a DOCX: read under limits, and made safe before any other library sees them. Runs in a worker."""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO

from lxml import etree

from glyph_core.errors import DocumentTooLargeError, InvalidDocumentError, UnsupportedDocumentError
from glyph_core.types import DocumentSource

_MAX_PART_BYTES, _MAX_BYTES = 128 * 1024**2, 384 * 1024**2  # unpacked: one part, all that are read
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, KeyError)
_READ = ("[Content_Types].xml", "_rels/", "word/")
# Nothing is fetched, no entity is put in, and no tree of absurd size is built
_PARSER = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


class Package:
    """A DOCX's parts by name: ``parts`` as bytes, :meth:`xml` as trees."""

    def __init__(self, source: DocumentSource) -> None:
        self.name = source.name
        self.parts: dict[str, bytes] = {}
        try:
            archive = zipfile.ZipFile(BytesIO(source.content))
            listed = [entry for entry in archive.infolist() if entry.filename.startswith(_READ)]
            self._check(listed)
            for entry in listed:
                self.parts[entry.filename] = archive.read(entry)
        except RuntimeError as error:  # zipfile's word for a password
            raise UnsupportedDocumentError(f"DOCX {self.name!r} is encrypted; save it without a password") from error
        except _ZIP_ERRORS as error:
            raise self.damaged(error) from error

    def _check(self, listed: list[zipfile.ZipInfo]) -> None:
        sizes = [entry.file_size for entry in listed]
        if sum(sizes) > _MAX_BYTES or max(sizes, default=0) > _MAX_PART_BYTES:
            raise DocumentTooLargeError(
                f"DOCX {self.name!r} unpacks to {sum(sizes) / 1024**2:.0f} MiB, more than is read; split it"
            )

    def damaged(self, error: Exception) -> InvalidDocumentError:
        return InvalidDocumentError(f"DOCX {self.name!r} is damaged: {error}; save it again")

    def xml(self, part: str) -> etree._Element:
        """The root of ``part``, without document type, entities, comments and processing instructions."""
        try:
            parser = etree.XMLParser(remove_comments=True, remove_pis=True, **_PARSER)
            root = etree.fromstring(self.parts[part], parser)
        except KeyError as error:
            raise InvalidDocumentError(f"DOCX {self.name!r} has no part {part}; save it again") from error
        except (etree.XMLSyntaxError, ValueError) as error:
            raise self.damaged(error) from error
        if root is None:
            raise InvalidDocumentError(f"part {part} of DOCX {self.name!r} is empty; save it again")
        for entity in list(root.iter(etree.Entity)):
            remove(entity)
        return root

    def packed(self) -> BytesIO:
        """The parts as a package again, its XML as :meth:`xml` gives it."""
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for part, content in self.parts.items():
                is_xml = part.endswith((".xml", ".rels"))
                archive.writestr(part, etree.tostring(self.xml(part), encoding="UTF-8") if is_xml else content)
        packed.seek(0)
        return packed


def remove(element: etree._Element) -> None:
    """Take ``element`` out of its tree, but leave the text that follows it."""
    parent, before = element.getparent(), element.getprevious()
    if parent is None:
        return
    if element.tail:
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)
