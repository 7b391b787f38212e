"""The whole way in one process. Read me first.

    DocumentSource ──plan──▶ DocumentPlan ──build_prompt──▶ Prompt ──▶ Engine
          └────────render──▶ Page ──encode──▶ PageFeatures ──feed──────▲ └──step──▶ tokens ──▶ Answer

A plan says how large each page will be, so the prompt stands before anything is drawn; pages follow while the
engine already works on those that came. The served app does the same over three deployments, and must give the
same answers, token for token.

    from glyph_core.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained("glyph-mini")
    answer = pipeline.ask(["contract.txt"], "What is the Governing Law?")
    print(answer.text)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from os import PathLike

import torch

from glyph_core.answering.active import ActiveRequest
from glyph_core.answering.course import Course, Task
from glyph_core.answering.lookups import Lookups
from glyph_core.answering.prompts import PageRange, page_ranges
from glyph_core.answering.reader import Reader
from glyph_core.answering.request import AnswerRequest, plans_shown
from glyph_core.config import EvidenceConfig, PipelineConfig, ReadingConfig, RenderConfig, SamplingConfig, preset
from glyph_core.documents.source import read_source
from glyph_core.engine.engine import Engine, TokenOutput
from glyph_core.engine.memory_limit import limit_memory, plan_for
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.loading import pick_device, pick_dtype, pick_vision_dtype
from glyph_core.model.token_counter import TokenCounter
from glyph_core.types import Answer, AnswerEvent, DocumentSource, Page, PageError
from glyph_core.vision.encoder import VisionEncoder
from glyph_core.vision.feature_cache import FeatureCache

DocumentLike = DocumentSource | str | PathLike[str]  # a source, or a file's path
RequestEvent = tuple[AnswerRequest, AnswerEvent]


class Pipeline:
    """Documents and a question in, an answer out. Not thread-safe: one caller at a time."""

    def __init__(self, config: PipelineConfig) -> None:
        """Loads the checkpoint; raises ModelError where it cannot."""
        self.config = config
        checkpoint = resolve_checkpoint(config.model.model)
        device = pick_device(config.model.device)
        dtype = pick_dtype(config.model.dtype, device)
        self.reader = Reader.of(checkpoint)
        self.render_config = config.render or preset(checkpoint.preset)
        engine_config = config.engine
        plan = plan_for(config.model, engine_config, config.credits, checkpoint, device)
        if plan is not None:  # both stages' shares are this one process's
            limit_memory(device, allocated=plan.decoder.allocated + plan.encoder.allocated, total=plan.budget)
            engine_config = engine_config.model_copy(update={"num_blocks": plan.num_blocks})
        vision_dtype = pick_vision_dtype(config.model.dtype, device, checkpoint)
        made_of = {"weights": config.model.weights, "kernels": config.model.kernels}
        self.encoder = VisionEncoder(self.reader.family, vision_dtype, device, **made_of)
        self.engine = Engine(
            self.reader.family.load_text(dtype, device, **made_of),
            engine_config,
            checkpoint.eos_token_ids,
            checkpoint.max_model_len,
            constrain=self.reader.constrain,
        )
        self._lookups = Lookups(config.limits, TokenCounter.from_checkpoint(checkpoint.path))
        self._features: FeatureCache[torch.Tensor] = FeatureCache(int(config.feature_cache_gb * 1e9))
        if config.model.num_threads:
            torch.set_num_threads(config.model.num_threads)

    @classmethod
    def from_pretrained(
        cls, model: str | PathLike[str] = "glyph-mini", config: PipelineConfig | None = None
    ) -> Pipeline:
        """The pipeline for ``model``: glyph-mini, a checkpoint folder, or a hub id.

        ``config`` says everything else; its own ``model.model`` is replaced. Raises ModelError.
        """
        config = config or PipelineConfig()
        return cls(config.model_copy(update={"model": config.model.model_copy(update={"model": str(model)})}))

    def ask(
        self,
        documents: Sequence[DocumentLike],
        question: str,
        *,
        system: str | None = None,
        sampling: SamplingConfig | None = None,
        render: RenderConfig | None = None,
        evidence: EvidenceConfig | None = None,
        reading: ReadingConfig | None = None,
    ) -> Answer:
        """One question about ``documents``. Raises an InvalidInputError for what can't be read or asked."""
        sources = _sources(documents)
        request = AnswerRequest.about(
            sources, question, system=system, sampling=sampling, render=render, evidence=evidence, reading=reading
        )
        return self.run([request])[0]

    def pin(self, documents: Sequence[DocumentLike], *, name: str = "") -> None:
        """Keeps the documents' KV blocks and features from eviction from now on, once they are read. Raises
        PinnedShareError where they need more than ``engine.pinned_share`` leaves."""
        for source in _sources(documents):
            course = self._course(AnswerRequest.about([source], "Pinned."))
            digests = [page.digest for page in course.plans[0].pages]
            self.engine.pin(f"{name}/{source.digest}/", digests, course.first.window_tokens(0))
            self._features.pin(f"{name}/{source.digest}/", digests)

    def unpin(self, documents: Sequence[DocumentLike], *, name: str = "") -> None:
        """They may be evicted again, like any other."""
        for source in _sources(documents):
            self.engine.unpin(f"{name}/{source.digest}/")
            self._features.unpin(f"{name}/{source.digest}/")

    def run(self, requests: Sequence[AnswerRequest]) -> list[Answer]:
        """Answers ``requests`` all at once, in one engine; in their order."""
        answers = {id(request): event for request, event in self._drive(requests) if isinstance(event, Answer)}
        return [answers[id(request)] for request in requests]

    def stream(self, request: AnswerRequest) -> Iterator[AnswerEvent]:
        """The answer as it comes: progress, pieces of text, and at the end the Answer."""
        for _, event in self._drive([request]):
            yield event

    def _drive(self, requests: Sequence[AnswerRequest]) -> Iterator[RequestEvent]:
        active = [self._open(request) for request in requests]
        try:
            while active:
                for running in active:
                    self._start_windows(running)
                yield from self._draw_and_encode(active)
                for output in self.engine.step():
                    yield from self._deliver(active, output)
                for running in [running for running in active if running.inquiry.is_finished]:
                    answer = running.go_on(self._lookups)
                    if answer is not None:
                        active.remove(running)
                        yield running.request, answer
        finally:
            for running in active:
                for sequence_id in running.prompts:
                    self.engine.abort(sequence_id)

    def _open(self, request: AnswerRequest) -> ActiveRequest:
        course = self._course(request)
        steps = course.steps()
        next(steps)  # to read the windows
        render = course.task.render
        return ActiveRequest(request, render, course.first, self._lookups.renderer(render), steps)

    def _course(self, request: AnswerRequest) -> Course:
        started_at = time.perf_counter()
        renderer = self._lookups.renderer(request.render or self.render_config)
        task = Task(
            request.request_id,
            request.messages,
            request.sampling,
            renderer.config,
            request.evidence,
            request.reading or self.config.reading,
        )
        plans = plans_shown([renderer.plan(document) for document in request.documents], request.pages)
        return Course(
            task,
            tuple(plans),
            self.reader,
            max_model_len=self.engine.max_model_len,
            limits=self.config.limits,
            started_at=started_at,
        )

    def _start_windows(self, running: ActiveRequest) -> None:
        """Windows of one request are read one after another: each would push the others' blocks out."""
        while running.inquiry.num_open == 0 and (started := running.inquiry.next_sequence()):
            sequence_id, running.prompts[started[0]] = started
            self.engine.add(sequence_id, running.prompts[sequence_id].prompt, running.request.sampling)

    def _draw_and_encode(self, active: Sequence[ActiveRequest]) -> Iterator[RequestEvent]:
        """The next pages that the engine wants, of all requests, in one forward of the vision tower."""
        drawn: list[tuple[ActiveRequest, str, int, Page]] = []
        digests: set[str] = set()  # of the pages that are drawn now: another request that wants one too gets it next
        for running in active:
            max_pages = self.config.credits.max_encode_batch - len(drawn)
            for sequence_id, pages in self._wanted(running, max_pages, digests):
                for number, page in enumerate(running.draw(pages), pages.first_number):
                    drawn.append((running, sequence_id, number, page))
        if not drawn:
            return
        started_at = time.perf_counter()
        encoded = self.encoder.encode([page for *_, page in drawn])
        share_s = (time.perf_counter() - started_at) / len(drawn)
        for (running, sequence_id, number, page), page_features in zip(drawn, encoded, strict=True):
            if page_features.error is None:  # what could not be drawn may be drawn next time
                self._features.put(page.plan.digest, page_features.features, page_features.features.nbytes)
            self._feed(running, sequence_id, number, page_features.features, page_features.error)
            running.inquiry.account.stages.encode_s += share_s
        for running in active:
            yield running.request, running.inquiry.account.progress()

    def _wanted(self, running: ActiveRequest, max_pages: int, digests: set[str]) -> Iterator[tuple[str, PageRange]]:
        """What is to be drawn next for a request, added to ``digests``; pages whose features are still at hand are fed
        on the way. Nothing for a sequence that has as many pages ahead of it as the served app would give it."""
        max_ahead = self.config.credits.encode_calls * self.config.credits.pages_per_encode_call
        for sequence_id, prompt in running.open_prompts():
            unseen: list[int] = []
            wanted = self.engine.wanted_pages(sequence_id)
            if wanted and wanted[0] - self.engine.next_page(sequence_id) >= max_ahead:
                continue
            for number in wanted:
                digest = prompt.prompt.pages[number].page.digest
                features = self._features.get(digest)
                if features is not None:
                    self._feed(running, sequence_id, number, features)
                elif digest not in digests and len(unseen) < max_pages:
                    unseen.append(number)
                    digests.add(digest)
            for pages in page_ranges(prompt, unseen, self.config.credits.max_encode_batch):
                yield sequence_id, pages
            max_pages -= len(unseen)

    def _feed(
        self,
        running: ActiveRequest,
        sequence_id: str,
        page_number: int,
        features: torch.Tensor,
        error: PageError | None = None,
    ) -> None:
        self.engine.feed(sequence_id, page_number, features)
        running.inquiry.note_page(sequence_id, page_number, error)

    def _deliver(self, active: Sequence[ActiveRequest], output: TokenOutput) -> Iterator[RequestEvent]:
        running = next(running for running in active if output.request_id in running.prompts)
        deltas = running.inquiry.push(output)
        if running.inquiry.has_ended(output.request_id):
            self.engine.abort(output.request_id)  # a stop string ends it here before the engine knows
        for delta in deltas:
            yield running.request, delta


def _sources(documents: Sequence[DocumentLike]) -> list[DocumentSource]:
    return [document if isinstance(document, DocumentSource) else read_source(document) for document in documents]
