"""Messages and page plans → a prompt, before any page is drawn.

The rule: turns keep their order and their roles, and the pages of a turn's documents stand before its text. So a
prompt that goes on from another shares its beginning, pages included, and the prefix cache finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from glyph_core.answering.reader import Reader
from glyph_core.answering.windows import Selection
from glyph_core.model.family import place_pages
from glyph_core.types import DocumentPlan, Message, Prompt

MAX_NAME_CHARS = 80  # of a document's name in a label


@dataclass(frozen=True, slots=True)
class DocumentPrompt:
    """A prompt that remembers whose pages it shows."""

    prompt: Prompt
    document_of_page: tuple[int, ...]  # for each of the prompt's pages, the index of its document

    def pages_of_documents(self, num_documents: int) -> tuple[tuple[int, ...], ...]:
        """For each document, the indices of its pages that the prompt shows."""
        pages: list[list[int]] = [[] for _ in range(num_documents)]
        for document, placement in zip(self.document_of_page, self.prompt.pages, strict=True):
            pages[document].append(placement.page.page_index)
        return tuple(map(tuple, pages))


@dataclass(frozen=True, slots=True)
class PageRange:
    """Pages ``[start, stop)`` of one document, which are the prompt's pages from number ``first_number`` on."""

    document: int
    start: int
    stop: int
    first_number: int


def all_pages(plans: Sequence[DocumentPlan]) -> Selection:
    return [range(plan.num_pages) for plan in plans]


def build_prompt(
    messages: Sequence[Message], plans: Sequence[DocumentPlan], reader: Reader, selection: Selection | None = None
) -> DocumentPrompt:
    """The prompt for ``messages``, showing the selected pages of their documents (all, unless told)."""
    selected = all_pages(plans) if selection is None else selection
    shown = [[(d, p) for d in message.documents for p in selected[d]] for message in messages]
    turns = [
        _turn(message, [page_label(plans, reader, d, p) for d, p in pages])
        for message, pages in zip(messages, shown, strict=True)
    ]
    order = [d for pages in shown for d, _ in pages]
    token_ids = reader.tokenizer.encode_chat(turns)
    placed = place_pages(reader.family, token_ids, [plans[d].pages[p] for pages in shown for d, p in pages])
    return DocumentPrompt(placed, tuple(order))


def page_label(plans: Sequence[DocumentPlan], reader: Reader, document: int, page: int) -> str:
    """What stands before a page, so that the model can tell the documents apart; nothing where there is one document
    only, or where the checkpoint does not declare that it was trained with labels."""
    if len(plans) < 2 or not reader.checkpoint.page_labels:
        return ""
    name = " ".join(plans[document].name.split())[:MAX_NAME_CHARS]
    return f"{name}, page {plans[document].pages[page].page_index + 1}:"


def page_ranges(document_prompt: DocumentPrompt, wanted: Sequence[int], max_pages: int) -> Iterator[PageRange]:
    """The wanted pages of a prompt (ascending numbers) as ranges of at most ``max_pages`` pages of one document."""
    current: PageRange | None = None
    for number in wanted:
        document = document_prompt.document_of_page[number]
        index = document_prompt.prompt.pages[number].page.page_index
        if current is not None:
            follows = (document, index, number) == (
                current.document,
                current.stop,
                current.first_number + current.stop - current.start,
            )
            if follows and current.stop - current.start < max_pages:
                current = PageRange(document, current.start, index + 1, current.first_number)
                continue
            yield current
        current = PageRange(document, index, index + 1, number)
    if current is not None:
        yield current


def _turn(message: Message, labels: Sequence[str]) -> dict[str, Any]:
    """A turn with a page for each of ``labels``, which may be empty, as chat templates take it. A turn without pages is
    a plain string: some templates want that."""
    if not labels:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, str]] = []
    for label in labels:
        parts += [{"type": "text", "text": label}] if label else []
        parts.append({"type": "image"})
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.text}]}
