"""Tables in plain text: columns by spaces, bars, tabs or commas, and questions for their cells."""

from __future__ import annotations

from collections.abc import Callable

from glyph_core.training.documents import Draft
from glyph_core.training.facts import QuestionKind
from glyph_core.training.material import Material
from glyph_core.training.similar import similar_key, similar_name
from glyph_core.training.value_makers import MONTHS
from glyph_core.training.values import make_value

_COLUMNS = {
    "Price": "money", "Amount": "money", "Cost": "money", "Total": "money", "Date": "date", "Due": "date",
    "Code": "code", "Number": "code", "Owner": "person", "Manager": "person", "City": "place", "Status": "word",
    "Color": "word", "Stock": "number", "Count": "number", "Units": "number", "Share": "percent", "Rate": "percent",
    "Weight": "quantity", "Size": "quantity", "Time": "time", "Phone": "phone", "Start": "time", "Room": "code",
}  # fmt: skip
_CELL = (
    "What is the {c} of {r}?",
    "What is the {c} for {r}?",
    "{c} of {r}?",
    "{r}: {c}?",
    "Which {c} does {r} have?",
    "What {c} is given for {r}?",
    "What does the table say for {r} under {c}?",
    "{c}, {r}?",
    "{r} {c}",
    "What is {r}'s {c}?",
    "What is the {c} in the row {r}?",
    "In the row {r}, what is the {c}?",
    "{c} for {r}",
    "What stands under {c} for {r}?",
    "Look at {r}: what is the {c}?",
    "What is listed as {c} for {r}?",
    "For {r}, what is the {c}?",
    "Give the {c} of {r}.",
    "Tell me the {c} for {r}.",
    "{r}, column {c}?",
)
_REVERSE = ("Which {h} has the {c} {v}?", "For which {h} is the {c} {v}?", "Which {h} has {v} as {c}?",
            "Whose {c} is {v}?", "In which row is the {c} {v}?", "Which {h} is listed with the {c} {v}?")  # fmt: skip
_STYLES = ("spaces",) * 4 + ("bars",) * 7 + ("records",) * 5 + ("markdown", "markdown", "tabs", "tabs", "commas")
_OPEN_KINDS = ("number", "word", "code", "money", "date", "quantity", "words", "person", "random", "random")


def table(draft: Draft) -> None:
    """Rows of things with their properties; as wide as a line allows, or as records, one under the other."""
    material = draft.material
    style = material.pick(_STYLES)
    num_columns = material.number(1, 6)
    height = num_columns + 2 if style == "records" else 1
    num_rows = min(material.number(2, 10), (draft.room - 2) // height)
    if num_rows < 2:
        return
    head, rows = _content(material, num_columns, num_rows)
    lines = _lines(material, head, rows, style)
    while len(head) > 2 and style != "records" and max(map(len, lines)) > draft.columns:
        head, rows = head[:-1], [row[:-1] for row in rows]
        lines = _lines(material, head, rows, style)
    is_too_wide = style != "records" and max(map(len, lines)) > draft.columns
    if is_too_wide or sum(map(draft.height, lines)) >= draft.room or not _is_clear(rows, style):
        return
    are_new = [draft.new_key(row[0]) for row in rows]  # all are taken, also where one was not free
    if not all(are_new):
        return
    if material.chance(0.4):
        draft.write(f"{material.word()} {material.word()}".title())
    if draft.write_all(lines):
        _add_facts(draft, head, rows)


def _is_clear(rows: list[list[str]], style: str) -> bool:
    """Whether no cell holds what divides the cells."""
    return style != "commas" or not any("," in cell for row in rows for cell in row)


def _content(material: Material, num_columns: int, num_rows: int) -> tuple[list[str], list[list[str]]]:
    names = material.random.sample(list(_COLUMNS), num_columns)
    if material.chance(0.25):
        names = [material.word().capitalize() for _ in names]
    kinds = [_COLUMNS.get(name) or material.pick(_OPEN_KINDS) for name in names]
    subject = material.pick(("Item", "Name", "Product", "Month", "Person", "Part", "Region"))
    labels = _labels(material, subject, num_rows)
    return [subject, *names], [[label, *(make_value(material, kind) for kind in kinds)] for label in labels]


def _labels(material: Material, subject: str, count: int) -> list[str]:
    if subject == "Month":
        return list(MONTHS[:count])
    makers: dict[str, Callable[[], str]] = {"Name": material.person, "Person": material.name, "Region": material.name}
    make = makers.get(subject, lambda: material.words(1, 2).capitalize())
    labels = [make() for _ in range(count)]
    if material.chance(0.3):
        alike = similar_name if subject in makers else similar_key
        labels[1:] = [alike(material, labels[0]) if material.chance(0.4) else label for label in labels[1:]]
    return labels


def _lines(material: Material, head: list[str], rows: list[list[str]], style: str) -> list[str]:
    cells = [head, *rows]
    if style == "records":
        return _records(material, head, rows)
    if style == "commas":
        return [", ".join(row) for row in cells]
    if style == "tabs":
        return ["\t".join(row) for row in cells]
    if style == "markdown":
        lines = ["| " + " | ".join(row) + " |" for row in cells]
        return [lines[0], "|" + "|".join("---" for _ in head) + "|", *lines[1:]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    joint = " | " if style == "bars" else "  "
    return [joint.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _records(material: Material, head: list[str], rows: list[list[str]]) -> list[str]:
    """Each row as a group of lines: its label, then ``header: value``."""
    indent, gap = material.pick(("", "", "  ", "- ")), material.pick(([], [""], [""]))
    is_named = material.chance(0.4)
    lines: list[str] = []
    for row in rows:
        lines.append(f"{head[0]}: {row[0]}" if is_named or not (indent or gap) else row[0])
        lines += [f"{indent}{name}: {cell}" for name, cell in zip(head[1:], row[1:], strict=True)]
        lines += gap
    return lines


def _add_facts(draft: Draft, head: list[str], rows: list[list[str]]) -> None:
    for column, name in enumerate(head[1:], 1):
        values = [row[column] for row in rows]
        for row in rows:
            draft.add(QuestionKind.TABLE, _ask(_CELL, c=name, r=row[0]), row[column])
        if len(set(values)) == len(values):
            row = draft.material.pick(rows)
            draft.add(QuestionKind.TABLE, _ask(_REVERSE, h=head[0].lower(), c=name, v=row[column]), row[0])


def _ask(frames: tuple[str, ...], **parts: str) -> Callable[[Material], str]:
    lowered = {name: text.lower() if name == "c" else text for name, text in parts.items()}

    def ask(material: Material) -> str:
        return material.pick(frames).format(**(lowered if material.chance(0.5) else parts))

    return ask
