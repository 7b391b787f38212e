"""What comes in: OpenAI's requests about vector stores, as far as we honour them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from deployments.queries import Query
from deployments.vector_stores.filters import Filter, RankingOptions
from deployments.wire import Wire

Key = Annotated[str, Field(max_length=64)]  # this and the next: OpenAI's own limits
Text = Annotated[str, Field(max_length=512)]
Metadata = Annotated[dict[Key, Text], Field(max_length=16)]
Attributes = Annotated[dict[Key, Text | float | bool], Field(max_length=16)]


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
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None
    chunking_strategy: Chunking | None = None


class UpdateBody(Wire):
    name: str | None = Field(None, max_length=256)
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None


class AddBody(Wire):
    file_id: str
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None


class AttributesBody(Wire):
    attributes: Attributes | None = None


class SearchBody(Wire):
    query: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1, max_length=16)
    max_num_results: int = Field(10, ge=1, le=50)
    filters: Filter | None = None
    ranking_options: RankingOptions = Field(default_factory=RankingOptions)
    rewrite_query: Literal[False] = False

    @field_validator("query", mode="before")
    @classmethod
    def _one_query_is_a_list(cls, query: Any) -> Any:
        return [query] if isinstance(query, str) else query


class ListQuery(Query):
    limit: int = Field(20, ge=1, le=100)
    after: str | None = None
    before: str | None = None
    order: Literal["asc", "desc"] = "desc"


class MemberQuery(ListQuery):
    filter: Literal["in_progress", "completed", "failed", "cancelled"] | None = None
