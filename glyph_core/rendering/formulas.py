"""Formulas as pictures: LaTeX → Typst (tylax) → pixels (typst). What they cannot set is shown as LaTeX.

A formula comes from a stranger's document and Typst is a programming language: what is compiled holds no code beside
the one call that tylax makes for ``\\text``, and the compiler sees an empty folder.
"""

from __future__ import annotations

import re
import threading
from functools import cache
from io import BytesIO
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from glyph_core.config import RenderConfig

if TYPE_CHECKING:
    import typst

MIN_SIZE_PX = 12  # subscripts under it run together
_MAX_CHARS, _MAX_DEPTH = 4000, 40  # both compilers descend recursively
_INK_SHARE = 0.002  # of a formula's pixels, at least: a white picture means that something was lost
_TEXT_CALL = re.compile(r"#text\[[^\[\]#$@`\"\\]*\]")
_ESCAPED_HASH = re.compile(r"(?<!\\)\\#")
_CODE = re.compile(r"#|\bstd\b|\beval\b")
_WARNING = "{} of {} formulas could not be typeset and are shown as LaTeX, the first: {!r}"
_compiler_lock = threading.Lock()


class FormulaSetter:
    """Sets the formulas of one document. Not thread-safe."""

    def __init__(self, config: RenderConfig) -> None:
        self._size_px = max(MIN_SIZE_PX, config.font_size_px)
        self._num_formulas = 0
        self._failed: list[str] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        if not self._failed:
            return ()
        return (_WARNING.format(len(self._failed), self._num_formulas, self._failed[0][:80]),)

    def picture(self, latex: str) -> np.ndarray | None:
        """(height, width) uint8, black on white; None where it cannot be set, which the warnings then count."""
        self._num_formulas += 1
        pixels = set_formula(latex, self._size_px)
        if pixels is None:
            self._failed.append(latex)
        return pixels


def set_formula(latex: str, size_px: float) -> np.ndarray | None:
    """``latex`` without delimiters in display style, its em ``size_px``; None where tylax or typst refuses it."""
    if len(latex) > _MAX_CHARS or _depth(latex) > _MAX_DEPTH:
        return None
    import tylax  # 80 MB of compiler between them, for the few documents that hold a formula
    import typst

    options = tylax.L2TOptions(frac_to_slash=False)  # 1/z before a letter would read as one name with it
    formula: str = tylax.latex_to_typst_diagnostics(latex, options=options).output
    if _CODE.search(_ESCAPED_HASH.sub("", _TEXT_CALL.sub("", formula))):
        return None
    page = f"#set page(width: auto, height: auto, margin: 1pt)\n#set text(size: {size_px}pt)\n$ {formula} $"
    try:
        with _compiler_lock:
            png = _compiler().compile(page.encode(), format="png", ppi=72)
    except typst.TypstError:
        return None
    if not isinstance(png, bytes):  # several pages: not one formula
        return None
    pixels = np.asarray(Image.open(BytesIO(png)).convert("L"))
    return pixels if (pixels < 128).mean() > _INK_SHARE else None


def _depth(latex: str) -> int:
    deepest = depth = 0
    for character in latex:
        depth += (character in "{[(") - (character in "}])")
        deepest = max(deepest, depth)
    return deepest + latex.count("\\begin") + latex.count("\\left")


@cache
def _compiler() -> typst.Compiler:
    import typst

    with TemporaryDirectory() as nothing_to_read:  # what a formula may name lies under the root: nothing, not even it
        return typst.Compiler(root=nothing_to_read, ignore_system_fonts=True)
