"""Workers hang, crash and eat memory; this process goes on, and says what happened."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from glyph_core.config import LimitConfig
from glyph_core.documents import isolation
from glyph_core.documents.messages import receive, send
from glyph_core.documents.paged import each_page
from glyph_core.documents.parse import parse
from glyph_core.errors import (
    DocumentTimeoutError,
    DocumentTooLargeError,
    EmptyDocumentError,
    InvalidDocumentError,
)
from glyph_core.types import DocumentSource, PageError

LIMITS = LimitConfig()
SOURCE = DocumentSource("a.pdf", b"content")
HERE = "tests.documents.parsers"


def run(name: str, *arguments: object, source: DocumentSource = SOURCE, timeout_s: float | None = None) -> list:
    return list(isolation.stream(f"{HERE}:{name}", source, *arguments, limits=LIMITS, timeout_s=timeout_s))


def test_results_come_from_another_process_that_is_kept() -> None:
    (first, name, content), *rest = run("echo", 1, "two")
    assert (name, content, rest) == ("a.pdf", b"content", [1, "two"])
    assert first != os.getpid()
    assert run("echo")[0][0] == first


def test_arrays_arrive_whole_and_writable() -> None:
    made = run("arrays", 5, 3_000_000)
    assert [int(array[0]) for array in made] == [0, 1, 2, 3, 4]
    assert all(array.shape == (3_000_000,) and (array == array[0]).all() for array in made)
    made[0][:] = 7


def test_a_worker_that_hangs_is_killed() -> None:
    got = []
    begun = time.monotonic()
    with pytest.raises(DocumentTimeoutError, match=r"a\.pdf.*nothing for 0\.5 s"):
        got.extend(isolation.stream(f"{HERE}:hangs", SOURCE, limits=LIMITS, timeout_s=0.5))
    assert time.monotonic() - begun < 20
    assert run("echo")  # the next document has a worker again


def test_computing_is_limited_rather_than_waiting() -> None:
    assert run("waits", 0.8, timeout_s=0.4) == ["done"]
    with pytest.raises(DocumentTimeoutError):
        run("waits", 30.0, timeout_s=0.4)
    with pytest.raises(DocumentTimeoutError):
        run("computes", timeout_s=0.4)


def test_a_worker_that_crashes_is_named_with_its_signal() -> None:
    with pytest.raises(InvalidDocumentError, match=r"a\.pdf.*signal 11"):
        run("crashes")


def test_memory_is_limited() -> None:
    with pytest.raises(DocumentTooLargeError, match=r"a\.pdf.*1\.5 GiB"):
        run("eats_memory")


def test_errors_of_a_parser_come_back() -> None:
    with pytest.raises(EmptyDocumentError, match="nothing in it") as caught:
        run("fails", "own")
    assert caught.value.param == "file"
    with pytest.raises(InvalidDocumentError, match=r"a\.pdf.*KeyError.*xref"):
        run("fails", "foreign")
    pid = run("echo")[0][0]
    with pytest.raises(InvalidDocumentError):
        run("fails", "foreign")
    assert run("echo")[0][0] == pid  # an error is no reason to end


def test_a_worker_that_is_left_in_the_middle_ends() -> None:
    pages = isolation.stream(f"{HERE}:arrays", SOURCE, 1000, 1_000_000, limits=LIMITS)
    next(pages)
    before = {child.pid for child in psutil.Process().children()}
    pages.close()
    assert len({child.pid for child in psutil.Process().children()}) == len(before) - 1


def test_a_worker_that_has_grown_ends_and_its_memory_returns() -> None:
    (pid,) = run("keeps_much")
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_one_bad_page_is_one_page_error() -> None:
    limits = LimitConfig(page_timeout_s=1)
    made = list(each_page(f"{HERE}:pages", SOURCE, range(8), limits=limits))
    assert [page for page in made if not isinstance(page, PageError)] == [0, 1, 3, 5, 7]
    errors = [page for page in made if isinstance(page, PageError)]
    assert [error.page for error in errors] == [2, 4, 6]
    assert "signal 11" in errors[0].reason
    assert (errors[1].reason, errors[2].reason) == ("it took more than 1 s", "torn")


def test_too_many_bad_pages_end_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glyph_core.documents.paged._PATIENCE_S", 0.3)
    made = list(each_page(f"{HERE}:pages", SOURCE, [4, 0, 1], limits=LimitConfig(page_timeout_s=0.5)))
    assert [error.page for error in made] == [4, 0, 1]
    assert "not tried" in made[1].reason


def test_threads_have_workers_of_their_own() -> None:
    results: list[list] = []
    threads = [threading.Thread(target=lambda: results.append(run("arrays", 3, 100_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(result) for result in results] == [3, 3, 3, 3]


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('begun')\n"
        "from glyph_core.config import LimitConfig\n"
        "from glyph_core.documents.parse import parse\n"
        "from glyph_core.types import DocumentSource\n"
        "print(parse(DocumentSource('a', b'<html><body><p>Hello'), LimitConfig()).text)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "begun\nHello\n"


def test_this_process_reads_no_foreign_parser() -> None:
    code = (
        "import sys; import glyph_core.documents.parse, glyph_core.documents.rasterise; "
        "print([name for name in ('pymupdf', 'lxml', 'mammoth', 'selectolax', 'chardet') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_plain_text_starts_no_worker() -> None:
    isolation.close()
    before = psutil.Process().children()
    assert parse(DocumentSource("a.txt", b"plain text"), LIMITS).text == "plain text"
    assert psutil.Process().children() == before


def test_an_error_names_the_document_as_it_is_called_this_time() -> None:
    for name in ("first.pdf", "second.pdf"):
        with pytest.raises(InvalidDocumentError, match=name):
            parse(DocumentSource(name, b"%PDF-1.7\n"), LIMITS)


def test_a_closed_socket_is_told() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=send, args=(theirs, ("result", np.arange(1000))))
        sender.start()
        kind, got = receive(ours)
        sender.join()
        assert (kind, got.tolist()) == ("result", list(range(1000)))
        theirs.close()
        with pytest.raises(EOFError):
            receive(ours)
