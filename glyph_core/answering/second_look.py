"""When an answer's pages are looked at again, drawn how much larger, and which of the two answers is kept."""

from __future__ import annotations

from glyph_core.config import RenderConfig, SecondLookConfig, varied
from glyph_core.errors import RenderConfigError
from glyph_core.readings import Doubt, Look, PagesOfDocuments
from glyph_core.types import Answer

LARGER_DPI, LARGEST_DPI = 120.0, 144.0


def doubts_about(answer: Answer, config: SecondLookConfig) -> tuple[Doubt, ...]:
    """Why ``answer`` is to be looked at again; nothing where there is no reason."""
    reasons: list[Doubt] = []
    if answer.confidence < config.below_confidence:
        reasons.append("confidence")
    if config.on_unsupported and answer.grounding is not None and answer.grounding.unsupported:
        reasons.append("grounding")
    return tuple(reasons)


def larger_look(render: RenderConfig, config: SecondLookConfig) -> RenderConfig | None:
    """``render`` as the second look draws it; None where that is no larger, or larger than a page may be."""
    dpi = config.dpi or (LARGER_DPI if render.dpi < LARGER_DPI else LARGEST_DPI)
    if dpi <= render.dpi:
        return None
    try:
        larger = varied(render, dpi=dpi)
        return larger.model_copy(update={"picture_scale": render.picture_scale * dpi / render.dpi})
    except RenderConfigError:
        return None


def look_of(answer: Answer) -> Look:
    num_unsupported = len(answer.grounding.unsupported) if answer.grounding is not None else None
    return Look(answer.text, answer.confidence, num_unsupported)


def is_better(after: Look, before: Look) -> bool:
    """Fewer values that no document holds, where both are known; else the more confident one."""
    if not after.text:
        return False
    if after.num_unsupported is None or before.num_unsupported is None:
        return after.confidence > before.confidence
    return (-after.num_unsupported, after.confidence) > (-before.num_unsupported, before.confidence)


def pages_in_question(answer: Answer) -> PagesOfDocuments:
    """Those that the answer's evidence stands on; without any, all that it was read from."""
    cited: list[set[int]] = [set() for _ in answer.pages_read]
    for citation in answer.citations:
        cited[citation.document].update(region.page_index for region in citation.regions)
    return tuple(tuple(sorted(pages)) for pages in cited) if any(cited) else answer.pages_read
