"""What is asked of the pipeline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from glyph_core.config import EvidenceConfig, ReadingConfig, RenderConfig, SamplingConfig
from glyph_core.errors import InvalidRequestError
from glyph_core.types import DocumentPlan, DocumentSource, Message, PageChoice

_HALF = re.compile("[\ud800-\udfff]")  # a surrogate: of bytes that are no UTF-8, or of one half of a UTF-16 pair


def new_request_id() -> str:
    return f"chatcmpl-{uuid4().hex}"


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A conversation with its documents.

    Raises InvalidRequestError where a message names a document that is not there, a document is named by no message
    or by two, or the last turn is not the user's.
    """

    messages: tuple[Message, ...]
    documents: tuple[DocumentSource, ...] = ()
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    render: RenderConfig | None = None  # None: the preset that the checkpoint names
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    request_id: str = field(default_factory=new_request_id)
    pages: PageChoice = ()
    reading: ReadingConfig | None = None  # None: the pipeline's

    def __post_init__(self) -> None:
        check_messages(self.messages, len(self.documents))

    @classmethod
    def about(
        cls,
        documents: Sequence[DocumentSource],
        question: str,
        *,
        system: str | None = None,
        sampling: SamplingConfig | None = None,
        render: RenderConfig | None = None,
        evidence: EvidenceConfig | None = None,
        reading: ReadingConfig | None = None,
    ) -> AnswerRequest:
        """One question about ``documents``, which stand before it in their order."""
        turns = [Message("system", system)] if system else []
        turns.append(Message("user", question, tuple(range(len(documents)))))
        return cls(
            tuple(turns),
            tuple(documents),
            sampling or SamplingConfig(),
            render,
            evidence or EvidenceConfig(),
            reading=reading,
        )


def plans_shown(plans: Sequence[DocumentPlan], pages: PageChoice) -> list[DocumentPlan]:
    """The documents' plans with the pages alone that are to be read."""
    return [plan.showing(indices) for plan, indices in zip(plans, pages or [None] * len(plans), strict=True)]


def check_messages(messages: Sequence[Message], num_documents: int) -> None:
    """Raises InvalidRequestError unless each document belongs to exactly one turn, the user speaks last, and all texts
    are made of whole characters."""
    if not messages or messages[-1].role != "user":
        raise InvalidRequestError("the last message must be the user's: it is the question", param="messages")
    if not messages[-1].text.strip():
        raise InvalidRequestError("the last message holds no text: ask a question there", param="messages")
    for message in messages:
        if (half := _HALF.search(message.text)) is not None:
            raise InvalidRequestError(
                f"a message holds half a character (U+{ord(half[0]):04X}): send its text as valid UTF-8",
                param="messages",
            )
    named = [index for message in messages for index in message.documents]
    if sorted(named) != list(range(num_documents)):
        raise InvalidRequestError(
            f"the messages name documents {named} of {num_documents}; each is to be named once", param="messages"
        )
