"""Formulas of HTML: the TeX that is written beside their MathML, else their letters."""

from __future__ import annotations

from selectolax.lexbor import LexborNode

_TEX = ("application/x-tex", "tex", "latex", "text/latex")
_STYLE = "{\\displaystyle "  # Wikipedia wraps each formula in it


def latex_of(math: LexborNode) -> tuple[str, bool]:
    """The TeX of a ``math`` element and whether it stands on a line of its own."""
    attributes = math.attributes
    tex = next(
        (
            note.text()
            for note in math.css("annotation")
            if (note.attributes.get("encoding") or "").lower() in _TEX and note.text().strip()
        ),
        attributes.get("alttext") or "",
    ).strip()
    if tex.startswith(_STYLE) and tex.endswith("}"):
        tex = tex[len(_STYLE) : -1].strip()
    return tex or " ".join(math.text().split()), attributes.get("display") == "block"
