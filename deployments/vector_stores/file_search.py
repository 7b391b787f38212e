"""Questions about collections: the pages that may hold the answer are found first and alone are read.

A request may allow more than one round. When a round's answer tells nothing, the next one reads the pages that come
next; when it tells something, that is what the next round looks up, for the answer to a question is often the name of
the page that holds the rest. What was found so far is shown again beside it. The answer is the most confident one of
those that found something, whatever model gave it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from deployments.admission import Conversation
from deployments.openai_answers import Json
from deployments.openai_types import ChatRequest, FileSearchTool
from deployments.vector_stores.library import FoundPage, Library
from glyph_core.config import LimitConfig
from glyph_core.errors import DocumentTooLargeError, InvalidRequestError, OverloadedError
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.types import Answer, AnswerEvent, DocumentSource, Progress, Usage

PAGES_AT_ONCE = 8  # where neither the request nor the checkpoint says how many
MAX_QUERY_CHARS = 1000

Events = AsyncGenerator[AnswerEvent | None]  # None: a sign of life
Begin = Callable[[Conversation], Awaitable[tuple[object, Events]]]  # what comes first owns the documents: keep it


@dataclass(slots=True)
class Round:
    query: str
    found: list[FoundPage]
    answer: Answer | None = None  # set when the round is over


class FileSearch:
    """One request's way through its collections."""

    def __init__(
        self,
        library: Library,
        tool: FileSearchTool,
        owner: str,
        base: Conversation,
        question: str,
        *,
        max_rounds: int,
        pages_at_once: int | None,
        absent_answer: str | None,
        max_bytes: int,
    ) -> None:
        """``base`` is the request without what will be found. Raises InvalidRequestError where it wants pages drawn in
        another way than those that are searched."""
        if base.render != library.render:
            raise InvalidRequestError(
                "file_search finds pages as this service draws them by itself, not as glyph.preset and glyph.render "
                "ask for; leave those out",
                param="glyph.preset",
            )
        self._library, self._tool, self._owner, self._base = library, tool, owner, base
        self._question = question
        self._max_rounds, self._absent_answer, self._max_bytes = max_rounds, absent_answer, max_bytes
        self._num_pages = tool.max_num_results or pages_at_once or PAGES_AT_ONCE
        self.rounds: list[Round] = []
        self._refused: OverloadedError | None = None  # why there was no further round

    def begin_round(self) -> Conversation | None:
        """The request with the pages that were found for it; None where a further round finds none. Raises
        NotFoundError. Blocks on disk."""
        before = self.rounds[-1] if self.rounds else None
        told = before is not None and before.answer is not None and not self._is_absent(before.answer)
        query = before.answer.text if before and before.answer and told else self._question
        found = self._library.find(
            self._owner,
            self._tool.vector_store_ids,
            [query[:MAX_QUERY_CHARS]],
            self._num_pages,
            only=self._tool.filters,
            min_score=self._tool.ranking_options.score_threshold,
            without=frozenset((page.file.digest, page.page_index) for round in self.rounds for page in round.found),
        )
        if before is not None and not found:
            return None
        self.rounds.append(Round(query, found))
        kept = before.found[: self._num_pages // 2] if before is not None and told else []
        return self._with_pages([*kept, *found][: self._num_pages])

    @classmethod
    def of(
        cls,
        chat: ChatRequest,
        library: Library,
        owner: str,
        base: Conversation,
        checkpoint: Checkpoint,
        limits: LimitConfig,
    ) -> FileSearch | None:
        """None where the request names no collection."""
        if not chat.tools:
            return None
        return cls(
            library,
            chat.tools[0],
            owner,
            base,
            # As it was written: a template that it was put into says how to answer, not what to look up.
            "\n".join(part.text for part in chat.messages[-1].content if part.text) or base.messages[-1].text,
            max_rounds=chat.glyph.search_rounds,
            pages_at_once=checkpoint.window_pages,
            absent_answer=checkpoint.absent_answer,
            max_bytes=limits.max_request_bytes,
        )

    async def events(self, first: Events, begin: Begin) -> Events:
        """Those of the first round, and of further ones, which are begun here: only progress, until the answer is
        certain."""
        if self._max_rounds == 1:
            async with aclosing(first):
                async for event in first:
                    if isinstance(event, Answer):
                        self.rounds[-1].answer = event
                    yield event
            return
        owned: object = None  # the documents of the round that runs
        events = first
        while True:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Answer):
                        self.rounds[-1].answer = event
                    elif event is None or (isinstance(event, Progress) and len(self.rounds) == 1):
                        yield event  # progress of one round alone: its counts must not fall again
            if self._is_settled() or (conversation := await asyncio.to_thread(self.begin_round)) is None:
                break
            try:
                owned, events = await begin(conversation)
            except OverloadedError as error:  # what the rounds before it told is not lost for that
                self._refused = error
                break
        del owned
        yield self._best()

    def as_json(self) -> list[Json]:
        """Every round: what was looked up, the pages that were found, what they told."""
        return [
            {
                "query": round.query,
                "pages": [
                    {
                        "file_id": page.file.file_id,
                        "filename": page.file.name,
                        "vector_store_id": page.file.collection_id,
                        "page": page.page_index + 1,
                        "score": page.score,
                    }
                    for page in round.found
                ],
                "answer": round.answer.text if round.answer else None,
                "confidence": round.answer.confidence if round.answer else None,
            }
            for round in self.rounds
        ]

    def _is_absent(self, answer: Answer) -> bool:
        return not answer.text.strip() or answer.text == self._absent_answer

    def _is_settled(self) -> bool:
        texts = [round.answer.text for round in self.rounds if round.answer and not self._is_absent(round.answer)]
        return len(self.rounds) == self._max_rounds or (len(texts) > 1 and texts[-1] == texts[-2])

    def _best(self) -> Answer:
        answers = [round.answer for round in self.rounds if round.answer is not None]
        best = max([answer for answer in answers if not self._is_absent(answer)] or answers, key=lambda a: a.confidence)
        warnings = list(best.warnings)
        if len(answers) > 1:
            warnings.append(f"read in {len(answers)} rounds; the answer is the most confident one's")
        if self._refused is not None:
            warnings.append(f"a further round was refused: {self._refused.message}")
        return replace(
            best,
            usage=_sum_usage([answer.usage for answer in answers]),
            num_pages=sum(answer.num_pages for answer in answers),
            warnings=tuple(warnings),
        )

    def _with_pages(self, shown: Sequence[FoundPage]) -> Conversation:
        """Each file once, in the order of its best page; its pages in their own order."""
        indices: dict[str, set[int]] = {}
        files = {page.file.digest: page.file for page in shown}
        for page in shown:
            indices.setdefault(page.file.digest, set()).add(page.page_index)
        if (num_bytes := sum(file.num_bytes for file in files.values())) > self._max_bytes:
            raise DocumentTooLargeError(
                f"the files whose pages were found make {num_bytes} bytes; those of a request may make "
                f"{self._max_bytes}: lower max_num_results",
                param="tools.0.max_num_results",
            )
        base = self._base
        sources: list[DocumentSource] = [
            self._library.files.read(self._owner, files[digest].file_id) for digest in indices
        ]
        first = len(base.documents)
        last = base.messages[-1]
        added = tuple(range(first, first + len(sources)))
        return replace(
            base,
            messages=(*base.messages[:-1], replace(last, documents=(*last.documents, *added))),
            documents=(*base.documents, *sources),
            pages=(*[None] * first, *[tuple(sorted(numbers)) for numbers in indices.values()]),
        )


def _sum_usage(usages: Sequence[Usage]) -> Usage:
    return Usage(
        num_prompt_tokens=sum(usage.num_prompt_tokens for usage in usages),
        num_completion_tokens=sum(usage.num_completion_tokens for usage in usages),
        num_visual_tokens=sum(usage.num_visual_tokens for usage in usages),
        num_cached_tokens=sum(usage.num_cached_tokens for usage in usages),
        num_text_tokens=sum(usage.num_text_tokens for usage in usages),
        text_tokens_estimated=any(usage.text_tokens_estimated for usage in usages),
    )
