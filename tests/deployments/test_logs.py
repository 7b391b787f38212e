"""The library's lines reach the stages' log."""

from __future__ import annotations

import logging

import pytest

from deployments.logs import show_library


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_what_the_library_says_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    serve, library, kept = logging.getLogger("ray.serve"), logging.getLogger("glyph_core"), Kept()
    monkeypatch.setattr(serve, "handlers", [kept])
    monkeypatch.setattr(library, "handlers", [])
    monkeypatch.setattr(library, "level", library.level)
    show_library()
    show_library()
    logging.getLogger("glyph_core.engine.warm_up").info("7 of 7")
    assert kept.lines == ["7 of 7"]
