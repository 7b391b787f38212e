"""OpenAI's vector stores: collections of uploaded files that are searched by their words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request

from deployments.files.routes import list_json
from deployments.openai_answers import Json
from deployments.queries import body_of, query_of
from deployments.vector_stores.bodies import (
    AddBody,
    AttributesBody,
    CreateBody,
    ListQuery,
    MemberQuery,
    SearchBody,
    UpdateBody,
)
from deployments.vector_stores.objects import collection_json, deleted_json, member_json, search_json
from deployments.visits import file_owner

if TYPE_CHECKING:
    from deployments.gateway import Gateway

CLEARED: Json = {"name": "", "metadata": {}}


def vector_stores_router(gateway: Gateway) -> APIRouter:
    router, library = APIRouter(prefix="/v1/vector_stores"), gateway.library
    collections = library.collections

    @router.post("")
    async def create(request: Request) -> Json:
        body = await body_of(request, CreateBody)
        created = await asyncio.to_thread(
            collections.create,
            file_owner(request),
            body.name,
            description=body.description,
            metadata=body.metadata,
            keep_days=body.expires_after.days if body.expires_after else None,
            file_ids=body.file_ids,
        )
        library.indexer.wake()
        return collection_json(created)

    @router.get("")
    async def list_collections(request: Request) -> Json:
        query = query_of(request, ListQuery)
        found, has_more = await asyncio.to_thread(collections.list_after, file_owner(request), **query.model_dump())
        return list_json([collection_json(collection) for collection in found], has_more)

    @router.get("/{collection_id}")
    async def retrieve(request: Request, collection_id: str) -> Json:
        return collection_json(await asyncio.to_thread(collections.get, file_owner(request), collection_id))

    @router.post("/{collection_id}")
    async def update(request: Request, collection_id: str) -> Json:
        body = await body_of(request, UpdateBody)
        changes = body.model_dump(include={"name", "metadata"}, exclude_unset=True)
        changes = {name: value if value is not None else CLEARED[name] for name, value in changes.items()}
        if "expires_after" in body.model_fields_set:
            changes["keep_days"] = body.expires_after.days if body.expires_after else None
        return collection_json(await asyncio.to_thread(collections.update, file_owner(request), collection_id, changes))

    @router.delete("/{collection_id}")
    async def delete(request: Request, collection_id: str) -> Json:
        await asyncio.to_thread(collections.delete, file_owner(request), collection_id)
        return deleted_json(collection_id, "vector_store.deleted")

    @router.post("/{collection_id}/files")
    async def add(request: Request, collection_id: str) -> Json:
        body = await body_of(request, AddBody)
        member = await asyncio.to_thread(
            collections.add, file_owner(request), collection_id, body.file_id, body.attributes or {}
        )
        library.indexer.wake()
        return member_json(member)

    @router.get("/{collection_id}/files")
    async def list_members(request: Request, collection_id: str) -> Json:
        query = query_of(request, MemberQuery)
        page = query.model_dump(exclude={"filter"}) | {"status": query.filter}
        found, has_more = await asyncio.to_thread(
            lambda: collections.members_after(file_owner(request), collection_id, **page)
        )
        return list_json([member_json(member) for member in found], has_more)

    @router.get("/{collection_id}/files/{file_id}")
    async def member(request: Request, collection_id: str, file_id: str) -> Json:
        return member_json(await asyncio.to_thread(collections.member, file_owner(request), collection_id, file_id))

    @router.post("/{collection_id}/files/{file_id}")
    async def set_attributes(request: Request, collection_id: str, file_id: str) -> Json:
        body = await body_of(request, AttributesBody)
        return member_json(
            await asyncio.to_thread(
                collections.set_attributes, file_owner(request), collection_id, file_id, body.attributes or {}
            )
        )

    @router.delete("/{collection_id}/files/{file_id}")
    async def remove(request: Request, collection_id: str, file_id: str) -> Json:
        await asyncio.to_thread(collections.remove, file_owner(request), collection_id, file_id)
        return deleted_json(file_id, "vector_store.file.deleted")

    @router.get("/{collection_id}/files/{file_id}/content")
    async def content(request: Request, collection_id: str, file_id: str) -> Json:
        found = await asyncio.to_thread(collections.member, file_owner(request), collection_id, file_id)
        texts = await asyncio.to_thread(library.index.pages_of, found.digest)
        return {
            "object": "vector_store.file_content.page",
            "data": [{"type": "text", "text": text} for text in texts],
            "has_more": False,
            "next_page": None,
        }

    @router.post("/{collection_id}/search")
    async def search(request: Request, collection_id: str) -> Json:
        body = await body_of(request, SearchBody)
        found = await asyncio.to_thread(
            lambda: library.find(
                file_owner(request),
                [collection_id],
                body.query,
                body.max_num_results,
                only=body.filters,
                min_score=body.ranking_options.score_threshold,
            )
        )
        return search_json(body.query, found)

    return router
