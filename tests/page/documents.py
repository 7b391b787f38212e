"""Documents that the tests write themselves, with facts that glyph-mini reads."""

from __future__ import annotations

from pathlib import Path

import pymupdf

from tests.documents.make_docx import docx, paragraph, run

PDF_LINES = (
    "Rental Agreement",
    "",
    "Contract Number: RA-3391-07",
    "Tenant: Juniper Coffee Roasters",
    "Notice Period: 45 days",
    "Monthly Rent: $2,150",
    "Property Manager: Helen Marsh",
)
DOCX_LINES = ("Maintenance Plan", "Inspector: Oscar Lindgren", "Next Inspection: June 12, 2026", "Budget: $8,400")


def write_pdf(path: Path) -> Path:
    with pymupdf.open() as document:
        page = document.new_page()
        for number, line in enumerate(PDF_LINES):
            page.insert_text((72, 90 + 20 * number), line, fontsize=12)
        document.save(path)
    return path


def write_docx(path: Path) -> Path:
    path.write_bytes(docx(*(paragraph(run(line)) for line in DOCX_LINES)).content)
    return path
