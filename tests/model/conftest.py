from __future__ import annotations

from pathlib import Path

import pytest

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import Family, family_of
from tests.tiny_checkpoint import make_tiny_glm4v


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that no test changes."""
    return make_tiny_glm4v(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def family(folder: Path) -> Family:
    return family_of(resolve_checkpoint(str(folder)))
