"""The renderers as the other stages call them: whichever has room, and another where one dies.

What is drawn comes as a stream: :mod:`deployments.credits` pulls it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.faults import call_stage
from deployments.protocol import DocumentRef, RangeRequest, StageReport
from glyph_core.config import RenderConfig
from glyph_core.evidence.comparison import Comparison
from glyph_core.evidence.finder import DocumentEvidence, EvidenceQuery
from glyph_core.model.token_counter import TokenCount
from glyph_core.rendering.page_text import PageText
from glyph_core.types import DocumentPlan


class Renderers:
    """The methods of :class:`deployments.renderer.Renderer`, which says what they return. Raises errors of ours only,
    among them what a renderer refuses."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def plan(self, document: DocumentRef, render: RenderConfig) -> DocumentPlan:
        plan: DocumentPlan = await self._call("plan", document, render)
        return plan

    async def plan_larger(
        self, document: DocumentRef, render: RenderConfig, larger: RenderConfig, pages: tuple[int, ...]
    ) -> DocumentPlan:
        plan: DocumentPlan = await self._call("plan_larger", document, render, larger, pages)
        return plan

    async def count_tokens(
        self, document: DocumentRef, render: RenderConfig, pages: tuple[int, ...] | None
    ) -> TokenCount:
        count: TokenCount = await self._call("count_tokens", document, render, pages)
        return count

    async def page_texts(self, pages: RangeRequest) -> tuple[PageText, ...]:
        texts: tuple[PageText, ...] = await self._call("page_texts", pages)
        return texts

    async def page_png(self, page: RangeRequest) -> bytes:
        png: bytes = await self._call("page_png", page)
        return png

    async def evidence(self, document: DocumentRef, render: RenderConfig, query: EvidenceQuery) -> DocumentEvidence:
        evidence: DocumentEvidence = await self._call("evidence", document, render, query)
        return evidence

    async def compare(self, first: DocumentRef, second: DocumentRef, render: RenderConfig) -> Comparison:
        comparison: Comparison = await self._call("compare", first, second, render)
        return comparison

    async def describe(self) -> StageReport:
        report: StageReport = await self._call("describe")
        return report

    async def _call(self, method: str, *args: object) -> Any:
        return await call_stage(partial(getattr(self._handle, method).remote, *args), "renderer")
