"""A renderer process starts light: no model libraries, and machine code from the cache wherever one can be kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import glyph_core

PACKAGE = Path(glyph_core.__file__).parent
RENDER = """
import sys
from glyph_core.config import preset
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource
page, = PageRenderer(preset("mini")).render(DocumentSource("a", b"warm up"), 0, 1)
assert page.pixels.min() < 255
"""
LOOK_UP = """
import numpy
from glyph_core.rendering.atlas import IGNORED, GlyphAtlas
from glyph_core.config import preset
print(GlyphAtlas(preset("mini")).glyphs_of(numpy.array([0], dtype=numpy.uint32)) == IGNORED)
"""
REPORT = (
    RENDER
    + """
from glyph_core.rendering import atlas, layout, stream
kernels = [atlas._look_up, layout._break_lines, stream._draw_stream]
print(sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels))
"""
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of what the renderer needs in a folder that takes no cache, not even from root."""
    target = tmp_path / "site" / "glyph_core"
    for name in ("config", "documents", "rendering"):
        shutil.copytree(PACKAGE / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__", "errors", "types"):
        shutil.copy(PACKAGE / f"{name}.py", target)
    (target / "rendering" / "__pycache__").touch()  # a file where the folder would be
    return target


def run(program: str, site: Path, cache_home: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    environment |= {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(cache_home), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=site, capture_output=True, text=True, check=True
    )


def test_no_model_library_is_imported(tmp_path: Path) -> None:
    program = RENDER + "print([name for name in ('torch', 'transformers', 'ray') if name in sys.modules])"
    assert run(program, PACKAGE.parent, tmp_path).stdout == "[]\n"


def test_a_read_only_package_is_compiled_once_for_the_user(installed: Path, tmp_path: Path) -> None:
    first, second = (int(run(REPORT, installed.parent, tmp_path / "cache").stdout) for _ in range(2))
    assert first >= 3
    assert second == 0


def test_without_any_place_for_a_cache_it_still_works(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = run(LOOK_UP, installed.parent, tmp_path / "file")
    assert ended.stdout == "[ True]\n"
    assert "cannot be cached" in ended.stderr
