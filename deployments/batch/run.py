"""A batch on its way: files side by side, on each its questions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import httpx

from deployments.batch.asking import BatchEndpoint, EndpointLostError
from deployments.batch.inputs import BatchFile
from deployments.batch.journal import Journal, Key
from deployments.openai_answers import Json, error_json
from glyph_core.documents.source import read_source
from glyph_core.errors import (
    AuthenticationError,
    ForbiddenError,
    GlyphError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
)
from glyph_core.types import DocumentSource

FATAL = (AuthenticationError, ForbiddenError, ModelNotFoundError, EndpointLostError)  # they would meet every question
CLEAN_UP_S = 5.0
UNREAD = "-"  # in place of the digest of a file that could not be read

OnProgress = Callable[[int, int], None]  # questions that are done, questions in all


@dataclass(slots=True)
class BatchReport:
    """What ``--json`` prints. ``answered`` and ``failed`` are this run's; of the ``done_before`` of earlier runs
    ``failed_before`` ended in an error. ``errors`` counts both runs' errors by their codes."""

    questions: int
    answered: int = 0
    failed: int = 0
    done_before: int = 0
    failed_before: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def num_done(self) -> int:
        return self.answered + self.failed + self.done_before

    def as_json(self) -> Json:
        return asdict(self)


class Batch:
    """Asks every question of every file, and puts each answer into the journal as soon as it is there."""

    def __init__(
        self,
        files: Sequence[BatchFile],
        questions: Sequence[str],
        journal: Journal,
        endpoint: BatchEndpoint,
        concurrency: int,
        on_progress: OnProgress,
    ) -> None:
        self._files, self._questions = files, questions
        self._journal, self._endpoint, self._on_progress = journal, endpoint, on_progress
        self._asking = asyncio.Semaphore(concurrency)
        self._open_files = asyncio.Semaphore(concurrency)
        self._writing = asyncio.Lock()
        self.report = BatchReport(len(files) * len(questions))

    async def run(self) -> BatchReport:
        """Raises what would meet every question, such as an API key that is not known; the journal keeps the rest."""
        await self._endpoint.prepare()
        try:
            async with asyncio.TaskGroup() as group:
                for file in self._files:
                    group.create_task(self._ask_all_of(file))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the others were cancelled, or met the same
        return self.report

    async def _ask_all_of(self, file: BatchFile) -> None:
        async with self._open_files:
            try:
                source = await asyncio.to_thread(read_source, file.path)
            except InvalidRequestError as error:
                await self._note_failures(self._todo(file.name, UNREAD), error)
                return
            if todo := self._todo(file.name, source.digest):
                await self._ask(source, todo)

    def _todo(self, name: str, digest: str) -> list[Key]:
        keys = [Key(name, digest, question) for question in self._questions]
        todo = [key for key in keys if key not in self._journal.done]
        before = [code for key in keys if (code := self._journal.done.get(key)) is not None]
        failed = [code for code in before if code]
        self.report.done_before += len(before)
        self.report.failed_before += len(failed)
        self.report.errors.update(failed)
        self._tell()
        return todo

    async def _ask(self, source: DocumentSource, todo: Sequence[Key]) -> None:
        try:
            upload = _Upload(self._endpoint, source, await self._endpoint.upload(source))
        except FATAL:
            raise
        except GlyphError as error:
            await self._note_failures(todo, error)
            return
        try:
            await self._answer(upload, todo[0])  # alone: the others find its pages in the cache
            async with asyncio.TaskGroup() as group:
                for key in todo[1:]:
                    group.create_task(self._answer(upload, key))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            await upload.delete()

    async def _answer(self, upload: _Upload, key: Key) -> None:
        async with self._asking:
            try:
                completion = await upload.ask(key.question)
            except FATAL:
                raise
            except GlyphError as error:
                await self._note_failure(key, error)
            else:
                await self._note(key, _answer_json(completion))
                self.report.answered += 1
            self._tell()

    async def _note_failures(self, keys: Sequence[Key], error: GlyphError) -> None:
        for key in keys:
            await self._note_failure(key, error)
            self._tell()

    async def _note_failure(self, key: Key, error: GlyphError) -> None:
        await self._note(key, {"answer": None, "error": error_json(error)["error"]})
        self.report.failed += 1
        self.report.errors[error.code] += 1

    async def _note(self, key: Key, record: Json) -> None:
        async with self._writing:
            await asyncio.shield(asyncio.to_thread(self._journal.append, key, record))

    def _tell(self) -> None:
        self._on_progress(self.report.num_done, self.report.questions)


class _Upload:
    """A file at the endpoint; put there again where the endpoint has lost it."""

    def __init__(self, endpoint: BatchEndpoint, source: DocumentSource, file_id: str) -> None:
        self._endpoint, self._source, self._file_id = endpoint, source, file_id
        self._renewing = asyncio.Lock()

    async def ask(self, question: str) -> Json:
        file_id = self._file_id
        try:
            return await self._endpoint.ask(file_id, question)
        except NotFoundError:
            async with self._renewing:
                if self._file_id == file_id:
                    self._file_id = await self._endpoint.upload(self._source)
            return await self._endpoint.ask(self._file_id, question)

    async def delete(self) -> None:
        with suppress(httpx.HTTPError, TimeoutError):  # it expires by itself
            async with asyncio.timeout(CLEAN_UP_S):
                await self._endpoint.delete(self._file_id)


def _answer_json(completion: Json) -> Json:
    choice = completion["choices"][0]
    return {
        "answer": choice["message"]["content"],
        "reasoning": choice["message"].get("reasoning_content", ""),
        "finish_reason": choice["finish_reason"],
        "model": completion["model"],
        "usage": completion["usage"],
        "glyph": completion["glyph"],
        "error": None,
    }
