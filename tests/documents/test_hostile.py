"""Files that break readers: each ends in time and memory, with pages or with an error that names the cause."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from glyph_core.config import LimitConfig
from glyph_core.documents import isolation
from glyph_core.documents.blocks import NativePage
from glyph_core.documents.parse import parse
from glyph_core.documents.rasterise import rasterise
from glyph_core.documents.source import read_source
from glyph_core.errors import InvalidInputError
from glyph_core.types import DocumentSource, PageError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FILES = sorted(path.relative_to(DATA).as_posix() for path in DATA.glob("hostile_*/*"))
LIMITS = LimitConfig()
MAX_S, MAX_BYTES, MAX_KEPT_BYTES = 20, 2 * 1024**3, 128 * 1024**2
# One of each way to break: what it says, or "" where pages come
REPRESENTATIVE = {
    "hostile_pdf/440599107.fuzz.pdf": "page 3 .* is missing: .*cannot find page 3",
    "hostile_pdf/bomb_giant.pdf": "",
    "hostile_pdf/enc-XI-long-password.pdf": "password",
    "hostile_pdf/issue-1688a.pdf": "too many color components",
    "hostile_pdf/T02-02_002_page-tree-kids-links-recursive.pdf": "cycle in page tree",
    "hostile_pdf/ContentStreamCycleType3insideType3.pdf": "",
    "hostile_docx/ExternalEntityInText.docx": "",
    "hostile_docx/testWORD_protected_passtika.docx": "password",
    "hostile_docx/truncated62886.docx": "damaged",
    "hostile_docx/docx_external_image.docx": "",
    "hostile_text/example-steelJIS-datasheet-utf-16.html": "",
    "hostile_text/empty.txt": "empty",
}


class Watch:
    """The largest memory that this process and its children held together, in bytes, over what they held before."""

    def __init__(self) -> None:
        self.before = self.held()
        self.peak = self.before
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.02):
            self.peak = max(self.peak, self.held())

    @staticmethod
    def held() -> int:
        total = 0
        for process in [psutil.Process(), *psutil.Process().children()]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


def outcome(source: DocumentSource, mode: str) -> tuple[str, int]:
    """What is said of ``source`` (an error, else its warnings and missing pages), and how many things came of it."""
    try:
        document = parse(source, LIMITS, mode)  # type: ignore[arg-type]
    except InvalidInputError as error:
        return str(error), 0
    native = [block.page for block in document.blocks if isinstance(block, NativePage)]
    drawn = rasterise(source, native, 72, LIMITS) if native else []
    missing = [str(page) for page in drawn if isinstance(page, PageError)]
    assert all(page.dtype == np.uint8 for page in drawn if not isinstance(page, PageError))
    said = [*document.warnings, *(str(error) for error in document.page_errors), *missing]
    return "\n".join(said), len(document.blocks) - len(missing)


def check(path: str, mode: str = "auto") -> tuple[str, int]:
    source = read_source(DATA / path)
    with Watch() as watch:
        begun = time.monotonic()
        said, num_blocks = outcome(source, mode)
        took_s = time.monotonic() - begun
    assert took_s < MAX_S
    assert watch.peak < MAX_BYTES
    assert num_blocks or len(said) > 20, "neither pages nor a cause"
    return said, num_blocks


@pytest.mark.parametrize("path", REPRESENTATIVE)
def test_representative_files(path: str, shared_data: Path) -> None:
    said, num_blocks = check(path)
    if REPRESENTATIVE[path]:
        assert re.search(REPRESENTATIVE[path], said, re.DOTALL)
    else:
        assert num_blocks


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "native"])
@pytest.mark.parametrize("path", FILES)
def test_every_hostile_file(path: str, mode: str, shared_data: Path) -> None:
    if mode == "native" and not path.endswith(".pdf"):
        pytest.skip("only PDF pages are drawn")
    check(path, mode)


@pytest.mark.slow
def test_memory_returns_when_all_is_over(shared_data: Path) -> None:
    parse(DocumentSource("a", b"<html><body>warm"), LIMITS)
    isolation.close()
    before = Watch.held()
    for path in FILES:
        if path != "hostile_pdf/test_2548.pdf":
            outcome(read_source(DATA / path), "auto")
    isolation.close()
    assert Watch.held() - before < MAX_KEPT_BYTES
