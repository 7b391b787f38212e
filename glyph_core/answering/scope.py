"""Whether a request lies within what the checkpoint was measured on; told before any page is drawn.

Each way of lying outside gives one sentence. It also says what share of the request the checkpoint can vouch for: by
so much less is an answer that nothing was found to be believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from glyph_core.config import RenderConfig
from glyph_core.documents.scripts import ScriptCounts, count_scripts
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.declaration import ReadingRange, is_decorated
from glyph_core.types import DocumentPlan, Message

_NUM_NAMED = 3  # scripts that a warning names


@dataclass(frozen=True, slots=True)
class Scope:
    warnings: tuple[str, ...] = ()
    readable_share: float = 1.0  # in [0, 1]


Finding = tuple[str, float]  # a warning, and the share of the request that it leaves


def scope_of(
    checkpoint: Checkpoint, render: RenderConfig, plans: Sequence[DocumentPlan], messages: Sequence[Message]
) -> Scope:
    """An empty one where the checkpoint declares nothing."""
    reads, name = checkpoint.reads, checkpoint.name
    if reads is None:
        return Scope()
    document_letters = Counter[str]()
    for plan in plans:
        document_letters.update(dict(plan.scripts))
    question_letters = count_scripts("\n".join(message.text for message in messages if message.role == "user"))
    found = [
        _look(reads, name, render, plans),
        _pictures(reads, name, plans),
        _num_pages(reads, name, plans),
        _question_length(reads, name, messages),
        _letters(reads, name, "of the documents", tuple(document_letters.most_common())),
        _letters(reads, name, "of the question", question_letters),
    ]
    share = 1.0
    for finding in found:
        share *= finding[1] if finding else 1.0
    return Scope(tuple(finding[0] for finding in found if finding), share)


def _look(reads: ReadingRange, name: str, render: RenderConfig, plans: Sequence[DocumentPlan]) -> Finding | None:
    is_set = any(plan.num_pages > plan.num_picture_pages for plan in plans)
    if not is_set or reads.holds_look(render):
        return None
    colours = "white on black, " if render.inverted and not reads.inverted else ""
    decoration = ", decorated" if is_decorated(render) and not reads.decorated else ""
    looks = " and ".join(
        f"{look.font} of {_bounds(look.font_size_px)} px on lines of {_bounds(look.line_height_px)} px"
        for look in reads.looks
    )
    return (
        f"the pages are set in {colours}{render.font} of {render.font_size_px:g} px on lines of "
        f"{render.line_height_px:g} px{decoration}, which {name} does not read well; it reads {looks}",
        0.0,
    )


def _pictures(reads: ReadingRange, name: str, plans: Sequence[DocumentPlan]) -> Finding | None:
    num_pages, num_pictures = _num_pages_of(plans), sum(plan.num_picture_pages for plan in plans)
    if reads.pictures or not num_pictures:
        return None
    return (
        f"{num_pictures} of {num_pages} pages are pictures, of which {name} reads only text that looks as this service "
        "sets it",
        1 - num_pictures / num_pages,
    )


def _num_pages(reads: ReadingRange, name: str, plans: Sequence[DocumentPlan]) -> Finding | None:
    num_pages = _num_pages_of(plans)
    if not num_pages:
        return f"there is no document in the request, and {name} was measured on questions about documents only", 0.0
    if reads.max_pages is None or num_pages <= reads.max_pages:
        return None
    warning = f"{num_pages} pages are more than the {reads.max_pages} that {name} was measured on"
    return warning, reads.max_pages / num_pages


def _question_length(reads: ReadingRange, name: str, messages: Sequence[Message]) -> Finding | None:
    num_chars = len(messages[-1].text) if messages else 0
    if reads.max_question_chars is None or num_chars <= reads.max_question_chars:
        return None
    longest = reads.max_question_chars
    return f"the question has {num_chars:,} characters; {name} was measured on questions of at most {longest}", 0.0


def _letters(reads: ReadingRange, name: str, whose: str, scripts: ScriptCounts) -> Finding | None:
    num_letters = sum(count for _, count in scripts)
    foreign = [(script, count) for script, count in scripts if script not in reads.scripts]
    if not reads.scripts or not foreign:
        return None
    num_foreign = sum(count for _, count in foreign)
    named = ", ".join(f"{count:,} {script}" for script, count in foreign[:_NUM_NAMED])
    more = ", …" if len(foreign) > _NUM_NAMED else ""
    return (
        f"{num_foreign:,} of {num_letters:,} letters {whose} ({named}{more}) are none that {name} reads: it knows "
        f"{' and '.join(reads.scripts)}",
        1 - num_foreign / num_letters,
    )


def _num_pages_of(plans: Sequence[DocumentPlan]) -> int:
    return sum(plan.num_pages for plan in plans)


def _bounds(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
