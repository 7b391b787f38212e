"""Formulas of Office (OMML, ECMA-376 part 1, section 22.1) as LaTeX.

No kept library does this: dwml rests since 2020, and docxlatex drops limits and phantoms, loses a whole formula over a
bracket that it does not know and installs a package named "tests". What is not known here gives its letters.
"""

from __future__ import annotations

from collections.abc import Callable

from lxml import etree
from lxml.etree import _Element as Element

_ACCENTS = {
    "\u0300": "grave", "\u0301": "acute", "\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0305": "overline",
    "\u0306": "breve", "\u0307": "dot", "\u0308": "ddot", "\u030a": "mathring", "\u030c": "check", "\u20d7": "vec",
    "\u20d6": "overleftarrow", "\u20db": "dddot", "\u20e1": "overleftrightarrow", "\u0332": "underline",
    "\u0331": "underline", "^": "hat", "~": "tilde", "¯": "bar", "→": "vec",
}  # fmt: skip
_OPERATORS = {
    "∑": "sum", "∏": "prod", "∐": "coprod", "∫": "int", "∬": "iint", "∭": "iiint", "∮": "oint", "∯": "oiint",
    "∰": "oiiint", "⋃": "bigcup", "⋂": "bigcap", "⋁": "bigvee", "⋀": "bigwedge", "⨁": "bigoplus", "⨂": "bigotimes",
    "⨀": "bigodot", "⨄": "biguplus", "⨆": "bigsqcup",
}  # fmt: skip
_FENCES = {
    "{": r"\{", "}": r"\}", "〈": r"\langle", "〉": r"\rangle", "⟨": r"\langle", "⟩": r"\rangle", "⌊": r"\lfloor",
    "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil", "‖": r"\|", "∥": r"\|", "⟦": "[", "⟧": "]", "": ".",
}  # fmt: skip
_SYMBOLS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ϵ": "epsilon", "ζ": "zeta", "η": "eta",
    "θ": "theta", "ϑ": "vartheta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi",
    "π": "pi", "ρ": "rho", "ς": "varsigma", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "varphi", "ϕ": "phi",
    "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi",
    "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "∞": "infty", "≤": "leq", "≥": "geq", "≠": "neq",
    "≈": "approx", "≡": "equiv", "±": "pm", "∓": "mp", "×": "times", "÷": "div", "⋅": "cdot", "∙": "cdot",
    "∂": "partial", "∇": "nabla", "∈": "in", "∉": "notin", "⊂": "subset", "⊆": "subseteq", "∪": "cup", "∩": "cap",
    "∅": "emptyset", "∀": "forall", "∃": "exists", "→": "to", "←": "leftarrow", "↔": "leftrightarrow",
    "⇒": "Rightarrow", "⇐": "Leftarrow", "⇔": "Leftrightarrow", "↦": "mapsto", "…": "ldots", "⋯": "cdots",
    "⋮": "vdots", "⋱": "ddots", "∝": "propto", "∼": "sim", "≅": "cong", "⊥": "perp", "∧": "wedge", "∨": "vee",
    "¬": "neg", "°": "degree", "ℏ": "hbar", "ℓ": "ell", "ℝ": "mathbb{R}", "ℕ": "mathbb{N}", "ℤ": "mathbb{Z}",
    "ℚ": "mathbb{Q}", "ℂ": "mathbb{C}", "√": "surd", "∥": "parallel", "∘": "circ", "⊕": "oplus", "⊗": "otimes",
}  # fmt: skip
_ESCAPED = {"\\": r"\backslash ", "{": r"\{", "}": r"\}", "#": r"\#", "%": r"\%", "&": r"\&", "$": r"\$", "_": r"\_"}
_FUNCTION_NAMES = """
    arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max min
    Pr sec sin sinh sup tan tanh
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())


def latex_of(element: Element) -> str:
    """The LaTeX, without delimiters, of an ``m:oMath`` or ``m:oMathPara``."""
    return " ".join(_children(element).split())


def _name(element: Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _children(element: Element) -> str:
    return "".join(_latex(child) for child in element)


def _latex(element: Element) -> str:
    name = _name(element)
    convert = _CONVERTERS.get(name)
    if convert is not None:
        return convert(element)
    return "" if name.endswith("Pr") else _children(element)


def _part(element: Element, name: str) -> str:
    """The LaTeX of the children called ``name``."""
    return "".join(_children(child) for child in element if _name(child) == name).strip()


def _property(element: Element, name: str, default: str) -> str:
    """The value of property ``name`` in the element's own properties; "" where it is there without a value."""
    for properties in element:
        if _name(properties) == _name(element) + "Pr":
            for found in properties:
                if _name(found) == name:
                    return next(
                        (value for key, value in found.attrib.items() if etree.QName(key).localname == "val"), ""
                    )
    return default


def _group(text: str) -> str:
    """``text`` as one argument of a script."""
    return text if len(text) == 1 else f"{{{text}}}"


def _text(element: Element) -> str:
    made = []
    for character in element.text or "":
        if character in _SYMBOLS:
            made.append(f"\\{_SYMBOLS[character]} ")
        else:
            made.append(_ESCAPED.get(character, character))
    return "".join(made)


def _run(element: Element) -> str:
    text = "".join(_text(child) for child in element if _name(child) == "t")
    plain = text.strip()
    if plain in _FUNCTIONS:
        return f"\\{plain} "
    is_normal = any(_name(p) == "rPr" and any(_name(q) in ("nor", "lit") for q in p) for p in element)
    return f"\\text{{{text}}}" if is_normal and plain and not plain.startswith("\\") else text


def _fraction(element: Element) -> str:
    above, below, kind = _part(element, "num"), _part(element, "den"), _property(element, "type", "bar")
    if kind == "noBar":
        return _environment("matrix", [above, below])
    return f"{{{above}}}/{{{below}}}" if kind in ("lin", "skw") else f"\\frac{{{above}}}{{{below}}}"


def _scripts(element: Element) -> str:
    base, below, above = _part(element, "e"), _part(element, "sub"), _part(element, "sup")
    scripts = (f"_{_group(below)}" if below else "") + (f"^{_group(above)}" if above else "")
    return f"{{}}{scripts}{_group(base)}" if _name(element) == "sPre" else f"{_group(base)}{scripts}"


def _limit(element: Element) -> str:
    base, limit = _part(element, "e"), _part(element, "lim")
    below = _name(element) == "limLow"
    if base.lstrip("\\") in _FUNCTIONS:
        return f"{base}{'_' if below else '^'}{_group(limit)}"
    return f"\\{'underset' if below else 'overset'}{{{limit}}}{{{base}}}"


def _nary(element: Element) -> str:
    sign = _property(element, "chr", "∫")
    sign = f"\\{_OPERATORS[sign]}" if sign in _OPERATORS else sign
    below, above = _part(element, "sub"), _part(element, "sup")
    scripts = (f"_{_group(below)}" if below else "") + (f"^{_group(above)}" if above else "")
    return f"{sign}{scripts} {_part(element, 'e')}"


def _root(element: Element) -> str:
    degree = _part(element, "deg")
    return f"\\sqrt{f'[{degree}]' if degree else ''}{{{_part(element, 'e')}}}"


def _fenced(element: Element) -> str:
    opening, closing = _property(element, "begChr", "("), _property(element, "endChr", ")")
    between = _property(element, "sepChr", "|")
    parts = [_children(child).strip() for child in element if _name(child) == "e"]
    if opening == "{" and not closing and len(parts) == 1 and parts[0].startswith("\\begin{aligned}"):
        return parts[0].replace("aligned}", "cases}")
    if (opening, closing) == ("(", ")") and (stacked := _stacked(element)) is not None:
        return f"\\binom{{{_part(stacked, 'num')}}}{{{_part(stacked, 'den')}}}"
    left, right = (_FENCES.get(fence, fence) for fence in (opening, closing))
    return f"\\left{left} {f' {between} '.join(parts)} \\right{right} "


def _stacked(fence: Element) -> Element | None:
    """The fraction without a bar that is all that ``fence`` holds: a binomial coefficient."""
    inside = [part for child in fence if _name(child) == "e" for part in child if not _name(part).endswith("Pr")]
    if len(inside) == 1 and _name(inside[0]) == "f" and _property(inside[0], "type", "bar") == "noBar":
        return inside[0]
    return None


def _matrix(element: Element) -> str:
    rows = [
        " & ".join(_children(cell).strip() for cell in row if _name(cell) == "e")
        for row in element
        if _name(row) == "mr"
    ]
    return _environment("matrix", rows)


def _equations(element: Element) -> str:
    # "&" aligns, and "#" sets what follows at the right end of the line: the equation's number
    rows = [
        _children(row).strip().replace(r"\&", "&").replace(r"\#", r"\qquad ") for row in element if _name(row) == "e"
    ]
    return _environment("aligned", rows)


def _environment(name: str, rows: list[str]) -> str:
    return f"\\begin{{{name}}} " + r" \\ ".join(rows) + f" \\end{{{name}}}"


def _accent(element: Element) -> str:
    accent = _ACCENTS.get(_property(element, "chr", "\u0302"), "hat")
    return f"\\{accent}{{{_part(element, 'e')}}}"


def _bar(element: Element) -> str:
    return f"\\{'overline' if _property(element, 'pos', 'bot') == 'top' else 'underline'}{{{_part(element, 'e')}}}"


def _brace(element: Element) -> str:
    sign, is_top = _property(element, "chr", "⏟"), _property(element, "pos", "bot") == "top"
    inner = _part(element, "e")
    if sign in ("⏟", "⏞"):
        return f"\\{'overbrace' if is_top or sign == '⏞' else 'underbrace'}{{{inner}}}"
    arrow = f"\\{_SYMBOLS[sign]}" if sign in _SYMBOLS else sign
    return f"\\{'overset' if is_top else 'underset'}{{{arrow}}}{{{inner}}}"


def _function(element: Element) -> str:
    return f"{_part(element, 'fName')} {_part(element, 'e')}"


_CONVERTERS: dict[str, Callable[[Element], str]] = {
    "t": _text,
    "r": _run,
    "f": _fraction,
    **dict.fromkeys(("sSub", "sSup", "sSubSup", "sPre"), _scripts),
    **dict.fromkeys(("limLow", "limUpp"), _limit),
    "nary": _nary,
    "rad": _root,
    "d": _fenced,
    "m": _matrix,
    "eqArr": _equations,
    "acc": _accent,
    "bar": _bar,
    "groupChr": _brace,
    "func": _function,
    "borderBox": lambda element: f"\\boxed{{{_part(element, 'e')}}}",
}
