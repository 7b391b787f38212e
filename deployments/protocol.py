"""What crosses from replica to replica.

Frozen and picklable. A document's bytes are put into the object store once, by the gateway, and travel as a reference;
pages and features go from the stage that makes them to the stage that uses them. Features are packed into numpy
arrays, which Ray hands over through shared memory; ``packing`` turns tensors into them and back, so that this module
needs no torch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from glyph_core.config import EvidenceConfig, ReadingConfig, RenderConfig, SamplingConfig
from glyph_core.documents.language import drawn_digest
from glyph_core.types import Message, Page, PageChoice, PageError, PagePlan

if TYPE_CHECKING:
    import numpy as np

    from glyph_core.engine.stats import EngineStats, MemoryUse


@dataclass(frozen=True, slots=True, weakref_slot=True)
class DocumentRef:
    """A document that lies in the object store."""

    name: str
    digest: str  # of the content alone, as in DocumentSource
    num_bytes: int
    content: Awaitable[bytes] = field(repr=False)  # a ray.ObjectRef


@dataclass(frozen=True, slots=True)
class PinRequest:
    """Whether ``owner`` wants the request's documents kept from eviction from now on, or no longer."""

    owner: str
    is_wanted: bool

    def name(self, document_digest: str) -> str:
        return f"{self.owner}/{document_digest}/"


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """An AnswerRequest whose documents lie in the object store and whose render configuration is decided."""

    request_id: str
    messages: tuple[Message, ...]
    documents: tuple[DocumentRef, ...]
    sampling: SamplingConfig
    render: RenderConfig
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    pages: PageChoice = ()
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    pin: PinRequest | None = None
    gateway: str = ""  # the name of the gateway replica's actor: without it nobody wants the answer


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """One call to a stage: pages [start, stop) of a document, and how they are drawn."""

    document: DocumentRef
    render: RenderConfig
    start: int
    stop: int
    owner: str = ""  # id of the request that it is for: those of different requests take turns
    model: str = ""  # that reads the pages; while a service changes its model, stages of both are there
    is_last: bool = False  # nothing comes after it: whoever asked waits for its last page

    def __len__(self) -> int:
        return self.stop - self.start

    def page_digest(self, page_index: int) -> str:
        return self.render.page_digest(drawn_digest(self.document.name, self.document.digest), page_index)

    def after(self, num_pages: int) -> RangeRequest:
        """What is left of the range when its first ``num_pages`` have come."""
        return replace(self, start=self.start + num_pages)

    def cut(self, max_pages: int) -> list[RangeRequest]:
        """The range in pieces of at most ``max_pages``, in order."""
        starts = range(self.start, self.stop, max_pages)
        return [replace(self, start=start, stop=min(start + max_pages, self.stop)) for start in starts]


@dataclass(frozen=True, slots=True)
class RenderedPage:
    page: Page
    render_s: float  # this page's share of the renderer's work


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """A page's features, packed."""

    plan: PagePlan
    grid_thw: tuple[int, int, int]
    values: np.ndarray = field(repr=False)  # (num_visual_tokens, hidden_size); bfloat16 as its bits in uint16
    dtype: str  # the tensor's, such as "bfloat16"
    render_s: float
    encode_s: float  # this page's share of its batch
    error: PageError | None = None  # the page's


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage says of itself on /healthz."""

    stage: str
    device: str
    versions: Mapping[str, str]
    dtype: str | None = None
    fallbacks: tuple[str, ...] = ()  # what it does without, and what it does instead
    attention: str | None = None  # the backend that runs, and why; of the decoder
    gpu: str | None = None  # the card's UUID
    host: str | None = None  # the machine's name
    memory: MemoryUse | None = None  # of its share of a card's memory plan; None: there is no plan


@dataclass(frozen=True, slots=True)
class EncoderStats:
    num_ranges_open: int  # calls of the decoder's
    num_pages_waiting: int  # drawn, and not in a batch yet
    num_batches: int = 0  # this and the next two: since the replica started
    num_pages: int = 0
    num_pages_kept: int = 0  # kept from before or made for another request: neither drawn nor encoded


@dataclass(frozen=True, slots=True)
class DecoderStats:
    num_requests: int
    engine: EngineStats
    num_kv_tokens_wanted: int = 0  # by the open requests together
    max_kv_tokens_wanted: int | None = None  # beyond, requests are refused


def versions_of(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages}
