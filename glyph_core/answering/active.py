"""A request on its way through the in-process pipeline."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from glyph_core.answering.demands import Demand, Read
from glyph_core.answering.inquiry import Inquiry
from glyph_core.answering.lookups import Lookups
from glyph_core.answering.prompts import DocumentPrompt, PageRange
from glyph_core.answering.request import AnswerRequest
from glyph_core.config import RenderConfig
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Answer, Page


@dataclass(slots=True)
class ActiveRequest:
    """A request that is being answered."""

    request: AnswerRequest
    render: RenderConfig  # of its first reading
    inquiry: Inquiry  # the reading that is under way
    renderer: PageRenderer  # its
    steps: Generator[Demand, object, Answer]
    prompts: dict[str, DocumentPrompt] = field(default_factory=dict)  # of all readings' sequences

    def open_prompts(self) -> Iterator[tuple[str, DocumentPrompt]]:
        return ((s, prompt) for s, prompt in self.prompts.items() if self.inquiry.is_open(s))

    def draw(self, pages: PageRange) -> list[Page]:
        started_at = time.perf_counter()
        drawn = self.renderer.render(self.request.documents[pages.document], pages.start, pages.stop)
        account = self.inquiry.account
        account.stages.render_s += time.perf_counter() - started_at
        account.pages_rendered.update(page.plan.digest for page in drawn)
        return drawn

    def go_on(self, lookups: Lookups) -> Answer | None:
        """Does what the course demands, up to its next reading; the answer, if there is none."""
        told: object = None
        try:
            while True:
                demand = self.steps.send(told)
                if isinstance(demand, Read):
                    self.inquiry, self.renderer = demand.inquiry, lookups.renderer(demand.render)
                    return None
                told = lookups.told(demand, self.request, self.render)
        except StopIteration as finished:
            answer: Answer = finished.value
            return answer
