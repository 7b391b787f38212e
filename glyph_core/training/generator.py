"""Whole documents: blocks in the proportions of a style, then questions about them."""

from __future__ import annotations

from dataclasses import dataclass

from glyph_core.training.blocks import (
    Block,
    bullet_list,
    form_line,
    heading,
    repeated_lines,
    similar_codes,
    similar_lines,
    uniform_lines,
)
from glyph_core.training.documents import Draft, GeneratedDocument, Questioner, QuestionMix
from glyph_core.training.material import Material
from glyph_core.training.prose import paragraph
from glyph_core.training.tables import table

STYLES: dict[str, tuple[tuple[Block, float], ...]] = {
    "form": (
        (form_line, 10), (uniform_lines, 1.5), (similar_lines, 1.2), (repeated_lines, 0.7), (heading, 0.7),
        (similar_codes, 0.4),
    ),
    "prose": ((paragraph, 10), (heading, 1.0)),
    "table": ((table, 6), (form_line, 1), (paragraph, 1)),
    "list": ((bullet_list, 6), (form_line, 1), (heading, 0.5), (paragraph, 0.6)),
    "similar": ((similar_lines, 5), (similar_codes, 1), (form_line, 1), (paragraph, 1)),
    "mixed": (
        (form_line, 6), (uniform_lines, 0.6), (paragraph, 3.5), (table, 0.7), (bullet_list, 0.7), (heading, 1.2),
        (similar_lines, 0.6), (repeated_lines, 0.5),
    ),
    "plain": ((form_line, 1),),
    "text": ((paragraph, 1),),
    "several": ((repeated_lines, 4), (form_line, 3)),
}  # fmt: skip
DEFAULT_STYLES = (
    ("mixed", 4.0),
    ("form", 3.0),
    ("prose", 3.0),
    ("table", 1.2),
    ("list", 0.9),
    ("similar", 1.2),
    ("several", 0.6),
)
DEFAULT_MIX: QuestionMix = (("fact", 7.0), ("continue", 1.2), ("absent", 1.7), ("transcribe", 0.05))


@dataclass(frozen=True)
class DocumentSpec:
    """How large a document is, what it is made of, and what is asked."""

    columns: int  # characters that fit a line
    max_lines: int
    num_questions: int
    styles: tuple[tuple[str, float], ...] = DEFAULT_STYLES
    mix: QuestionMix = DEFAULT_MIX
    max_answer_chars: int = 48  # of continuations and transcriptions


def generate(material: Material, spec: DocumentSpec) -> GeneratedDocument:
    """A document and its questions; at least one line, and possibly no question for a very small one."""
    draft = Draft(material, spec.columns, spec.max_lines)
    names, weights = zip(*spec.styles, strict=True)
    blocks, block_weights = zip(*STYLES[material.random.choices(names, weights)[0]], strict=True)
    for _ in range(4 * spec.max_lines + 8):
        if draft.room < 1:
            break
        material.random.choices(blocks, block_weights)[0](draft)
    if not draft.lines:
        form_line(draft)
    text = "\n".join(draft.lines) or material.word()
    questions = Questioner(draft, text, spec.mix, spec.max_answer_chars).draw(spec.num_questions)
    return GeneratedDocument(text, tuple(questions))
