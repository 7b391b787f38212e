"""What documents are built of: lines of a form, paragraphs of prose, tables and lists. Each writes into a draft."""

from __future__ import annotations

from collections.abc import Callable

from glyph_core.training.documents import Draft
from glyph_core.training.facts import FieldOfInterest, QuestionKind, by_key, by_key_of_several, in_people_words
from glyph_core.training.layouts import laid_out, one_way
from glyph_core.training.material import Material
from glyph_core.training.similar import one_letter_off, similar_key, similar_name
from glyph_core.training.values import common_kind, make_value

Block = Callable[[Draft], None]

_NUMBERED = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12")


def kind_of_value(value_kind: str) -> QuestionKind:
    return QuestionKind.IDENTIFIER if value_kind == "identifier" else QuestionKind.KEY_VALUE


def invented_key(material: Material) -> str:
    """A key of words that no field is named by."""
    way = material.random.random()
    if way < 0.25:
        return material.word().capitalize()
    if way < 0.55:
        return f"{material.word()} {material.word()}".title()
    if way < 0.65:
        return material.word()
    if way < 0.75:
        return f"{material.pick(('Room', 'Unit', 'Box', 'Item', 'Lot', 'Line', 'Section'))} {material.digits(1, 3)}"
    tails = ("Number", "Date", "Name", "Code", "Amount", "ID", "Type", "Address", "Office", "Rate", "Limit", "Owner")
    return f"{material.word().capitalize()} {material.pick(tails)}"


def form_line(draft: Draft) -> None:
    """``Governing Law: State of New York``"""
    chosen = draft.new_field() if draft.material.chance(0.5) else None
    if chosen:
        labelled_line(draft, chosen)
        return
    material = draft.material
    key = invented_key(material)
    if not draft.new_key(key):
        return
    kind = common_kind(material)
    value = make_value(material, kind)
    if draft.write_all(laid_out(material, key, value, draft.columns)):
        draft.add(kind_of_value(kind), by_key(key), value)


def labelled_line(draft: Draft, chosen: FieldOfInterest) -> None:
    """A line for a field of interest; asked for by its label or in people's words."""
    material = draft.material
    label = material.pick(chosen.labels)
    if not draft.new_key(label):
        return
    value = make_value(material, chosen.value)
    if draft.write_all(laid_out(material, label, value, draft.columns)):
        draft.add(kind_of_value(chosen.value), by_key(label), value)
        ask = in_people_words(chosen, draft.noun)
        draft.add(QuestionKind.PEOPLE, ask, value)
        draft.add(QuestionKind.PEOPLE, ask, value)  # as often again: this is how people ask


def similar_lines(draft: Draft) -> None:
    """Keys that differ by little, each with a value of its own, of the same kind."""
    material = draft.material
    base = invented_key(material) if material.chance(0.5) else material.name()
    make = similar_key if " " in base or material.chance(0.5) else similar_name
    keys = [base, *(make(material, base) for _ in range(material.number(1, 4)))]
    kind = common_kind(material)
    write = one_way(material, keys, draft.columns)
    for key in material.random.sample(keys, len(keys)):
        value = make_value(material, kind)
        if draft.room and draft.new_key(key) and draft.write_all(write(key, value)):
            draft.add(QuestionKind.NEAR_DUPLICATE, by_key(key), value)


def uniform_lines(draft: Draft) -> None:
    """Some keys and values, all laid out alike: one under the other, in columns, or two on a line."""
    material = draft.material
    count = min(material.number(2, 8), draft.room)
    pairs = []
    for _ in range(count):
        key, kind = invented_key(material), common_kind(material)
        if draft.new_key(key):
            pairs.append((key, kind, make_value(material, kind)))
    if not pairs:
        return
    if material.chance(0.3):
        written = _two_on_a_line(draft, [(key, value) for key, _, value in pairs])
    else:
        write = one_way(material, [key for key, _, _ in pairs], draft.columns)
        written = [draft.write_all(write(key, value)) for key, _, value in pairs]
    for (key, kind, value), is_written in zip(pairs, written, strict=True):
        if is_written:
            draft.add(kind_of_value(kind), by_key(key), value)


def _two_on_a_line(draft: Draft, pairs: list[tuple[str, str]]) -> list[bool]:
    """Whether each pair was written."""
    separator, joint = draft.material.pick(
        ((": ", "    "), (": ", " | "), (": ", "\t"), (" = ", "    "), (": ", "   "))
    )
    written = [False] * len(pairs)
    for first in range(0, len(pairs), 2):
        line = joint.join(f"{key}{separator}{value}" for key, value in pairs[first : first + 2])
        if len(line) <= draft.columns and draft.write(line):
            written[first : first + 2] = [True] * len(pairs[first : first + 2])
    return written


def repeated_lines(draft: Draft) -> None:
    """One key with several values, on lines of its own or not; the answer names all, in the page's order."""
    material = draft.material
    key = invented_key(material)
    kind = material.pick(("number", "code", "date", "money", "person", "word", "words", "place", "phone", "time"))
    values = [make_value(material, kind) for _ in range(material.number(2, 4))]
    answer = "; ".join(values)
    if len(set(values)) < len(values) or len(answer) > 80 or draft.room < 2 * len(values) or not draft.new_key(key):
        return
    write = one_way(material, [key], draft.columns)
    is_whole = True
    for value in values:
        is_whole &= draft.write_all(write(key, value))
        if material.chance(0.25):
            form_line(draft)
    if is_whole:
        draft.add(QuestionKind.SEVERAL, by_key_of_several(key), answer)


def bullet_list(draft: Draft) -> None:
    """A titled list, asked for by number or whole."""
    material = draft.material
    kind = material.pick(("word", "words", "person", "organisation", "code", "place", "mixed", "quantity", "random"))
    items = [make_value(material, kind) for _ in range(material.number(2, 8))]
    title = invented_key(material)
    if len(set(items)) < len(items) or draft.room < len(items) + 1 or not draft.new_key(title):
        return
    numbered = material.chance(0.6)
    mark = material.pick(("{n}. ", "{n}) ", "({n}) ")) if numbered else material.pick(("- ", "* ", "• ", "– "))
    lines = [mark.format(n=number) + item for number, item in enumerate(items, 1)]
    if not draft.write_all([f"{title}:", *lines]):
        return
    if numbered:
        for number, item in enumerate(items, 1):
            draft.add(QuestionKind.LIST, _by_number(title, number), item)
    whole = "; ".join(items)
    if len(whole) <= 80:
        ask = _listed(title)
        draft.add(QuestionKind.LIST, ask, whole)


def _by_number(title: str, number: int) -> Callable[[Material], str]:
    frames = (
        "What is number {n} of {t}?",
        "Which {t} is number {n}?",
        "{t}, item {n}?",
        "What stands at {n} under {t}?",
        "What is item {n} of {t}?",
        "What is point {n} under {t}?",
        "Name number {n} of {t}.",
        "{t}: what is number {n}?",
        "Which entry is number {n} in {t}?",
        "{t} {n}?",
    )
    return lambda material: material.pick(frames).format(n=number, t=title)


def _listed(title: str) -> Callable[[Material], str]:
    frames = ("What is listed under {t}?", "List the {t}.", "Which items are under {t}?", "What are the {t}?")
    return lambda material: material.pick(frames).format(t=title)


def heading(draft: Draft) -> None:
    material = draft.material
    text = f"{material.word()} {material.word()}".title()
    way = material.number(0, 3)
    if way == 0:
        text = text.upper()
    elif way == 1:
        text = f"{material.pick(_NUMBERED)}. {text}"
    elif way == 2 and draft.lines:
        draft.write("")
    draft.write(text)


def similar_codes(draft: Draft) -> None:
    """Identifiers that share most of their characters, each under its own key."""
    material = draft.material
    base = make_value(material, "identifier")
    values = [base, *(one_letter_off(material, base) for _ in range(material.number(1, 2)))]
    for value in values:
        key = invented_key(material)
        if len(value) > 7 and draft.new_key(key) and draft.write(f"{key}: {value}"):
            draft.add(QuestionKind.IDENTIFIER, by_key(key), value)
