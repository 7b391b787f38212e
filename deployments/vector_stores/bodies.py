"""What comes in: OpenAI's requests about vector stores, as far as we honour them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deployments.queries import Query
from deployments.vector_stores.filters import Filter, RankingOptions
from deployments.wire import Wire


class ExpiresAfter(Wire):
    anchor: Literal["last_active_at"]
    days: int = Field(ge=1, le=365)


class Chunking(Wire):
    """Pages are what is found: there is nothing to choose."""

    type: Literal["auto"]


class CreateBody(Wire):
    name: str = Field("", max_length=256)
    description: str | None = Field(None, max_length=4096)
    file_ids: list[str] = Field(default_factory=list, max_length=500)
    metadata: dict[str, str] | None = Field(None, max_length=16)
    expires_after: ExpiresAfter | None = None
    chunking_strategy: Chunking | None = None


class UpdateBody(Wire):
    name: str | None = Field(None, max_length=256)
    metadata: dict[str, str] | None = Field(None, max_length=16)
    expires_after: ExpiresAfter | None = None


Attributes = dict[str, str | float | bool]


class AddBody(Wire):
    file_id: str
    attributes: Attributes | None = Field(None, max_length=16)
    chunking_strategy: Chunking | None = None


class AttributesBody(Wire):
    attributes: Attributes | None = Field(None, max_length=16)


class SearchBody(Wire):
    query: str | list[str] = Field(min_length=1)
    max_num_results: int = Field(10, ge=1, le=50)
    filters: Filter | None = None
    ranking_options: RankingOptions = Field(default_factory=RankingOptions)
    rewrite_query: Literal[False] = False


class ListQuery(Query):
    limit: int = Field(20, ge=1, le=100)
    after: str | None = None
    before: str | None = None
    order: Literal["asc", "desc"] = "desc"


class MemberQuery(ListQuery):
    filter: Literal["in_progress", "completed", "failed", "cancelled"] | None = None
