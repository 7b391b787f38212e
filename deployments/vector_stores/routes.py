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


class VectorStoreRoutes:
    def __init__(self, gateway: Gateway) -> None:
        self._library, self._collections = gateway.library, gateway.library.collections

    def router(self) -> APIRouter:
        router, store, file = (
            APIRouter(prefix="/v1/vector_stores"),
            "/{collection_id}",
            "/{collection_id}/files/{file_id}",
        )
        for method, path, answer in (
            ("POST", "", self.create),
            ("GET", "", self.list_collections),
            ("GET", store, self.retrieve),
            ("POST", store, self.update),
            ("DELETE", store, self.delete),
            ("POST", f"{store}/search", self.search),
            ("POST", f"{store}/files", self.add),
            ("GET", f"{store}/files", self.list_members),
            ("GET", file, self.member),
            ("POST", file, self.set_attributes),
            ("DELETE", file, self.remove),
            ("GET", f"{file}/content", self.content),
        ):
            router.add_api_route(path, answer, methods=[method])
        return router

    async def create(self, request: Request) -> Json:
        body = await body_of(request, CreateBody)
        created = await asyncio.to_thread(
            self._collections.create,
            file_owner(request),
            body.name,
            description=body.description,
            metadata=body.metadata,
            keep_days=body.expires_after.days if body.expires_after else None,
            file_ids=body.file_ids,
        )
        self._library.indexer.wake()
        return collection_json(created)

    async def list_collections(self, request: Request) -> Json:
        query = query_of(request, ListQuery)
        owner = file_owner(request)
        found, has_more = await asyncio.to_thread(self._collections.list_after, owner, **query.model_dump())
        return list_json([collection_json(collection) for collection in found], has_more)

    async def retrieve(self, request: Request, collection_id: str) -> Json:
        return collection_json(await asyncio.to_thread(self._collections.get, file_owner(request), collection_id))

    async def update(self, request: Request, collection_id: str) -> Json:
        body = await body_of(request, UpdateBody)
        changes = body.model_dump(include={"name", "metadata"}, exclude_unset=True)
        changes = {name: value if value is not None else CLEARED[name] for name, value in changes.items()}
        if "expires_after" in body.model_fields_set:
            changes["keep_days"] = body.expires_after.days if body.expires_after else None
        owner = file_owner(request)
        return collection_json(await asyncio.to_thread(self._collections.update, owner, collection_id, changes))

    async def delete(self, request: Request, collection_id: str) -> Json:
        await asyncio.to_thread(self._collections.delete, file_owner(request), collection_id)
        return deleted_json(collection_id, "vector_store.deleted")

    async def search(self, request: Request, collection_id: str) -> Json:
        body = await body_of(request, SearchBody)
        found = await asyncio.to_thread(
            self._library.find,
            file_owner(request),
            [collection_id],
            body.query,
            body.max_num_results,
            only=body.filters,
            min_score=body.ranking_options.score_threshold,
        )
        return search_json(body.query, found)

    async def add(self, request: Request, collection_id: str) -> Json:
        body, owner = await body_of(request, AddBody), file_owner(request)
        member = await asyncio.to_thread(
            self._collections.add, owner, collection_id, body.file_id, body.attributes or {}
        )
        self._library.indexer.wake()
        return member_json(member)

    async def list_members(self, request: Request, collection_id: str) -> Json:
        query, owner = query_of(request, MemberQuery), file_owner(request)
        page = query.model_dump(exclude={"filter"}) | {"status": query.filter}
        found, has_more = await asyncio.to_thread(self._collections.members_after, owner, collection_id, **page)
        return list_json([member_json(member) for member in found], has_more)

    async def member(self, request: Request, collection_id: str, file_id: str) -> Json:
        owner = file_owner(request)
        return member_json(await asyncio.to_thread(self._collections.member, owner, collection_id, file_id))

    async def set_attributes(self, request: Request, collection_id: str, file_id: str) -> Json:
        body, owner = await body_of(request, AttributesBody), file_owner(request)
        change = self._collections.set_attributes
        return member_json(await asyncio.to_thread(change, owner, collection_id, file_id, body.attributes or {}))

    async def remove(self, request: Request, collection_id: str, file_id: str) -> Json:
        await asyncio.to_thread(self._collections.remove, file_owner(request), collection_id, file_id)
        return deleted_json(file_id, "vector_store.file.deleted")

    async def content(self, request: Request, collection_id: str, file_id: str) -> Json:
        found = await asyncio.to_thread(self._collections.member, file_owner(request), collection_id, file_id)
        texts = await asyncio.to_thread(self._library.index.pages_of, found.digest)
        return {
            "object": "vector_store.file_content.page",
            "data": [{"type": "text", "text": text} for text in texts],
            "has_more": False,
            "next_page": None,
        }
