"""What goes out: collections in the words of OpenAI's vector stores."""

from __future__ import annotations

from collections.abc import Sequence

from deployments.openai_answers import Json
from deployments.vector_stores.library import FoundPage
from glyph_core.storage.collections import Collection, Member

STATUSES = ("in_progress", "completed", "failed", "cancelled")


def collection_json(collection: Collection) -> Json:
    counts: Json = dict.fromkeys(STATUSES, 0) | dict(collection.num_files)
    expiry = None if collection.keep_days is None else {"anchor": "last_active_at", "days": collection.keep_days}
    return {
        "id": collection.id,
        "object": "vector_store",
        "created_at": collection.created_at,
        "last_active_at": collection.last_active_at,
        "name": collection.name,
        "description": collection.description,
        "metadata": collection.metadata,
        "usage_bytes": collection.num_bytes,
        "file_counts": counts | {"total": sum(counts.values())},
        "status": "in_progress" if counts["in_progress"] else "completed",
        "expires_after": expiry,
        "expires_at": collection.expires_at,
    }


def member_json(member: Member) -> Json:
    error = {"code": member.error_code, "message": member.error_message} if member.error_code else None
    return {
        "id": member.file_id,
        "object": "vector_store.file",
        "created_at": member.created_at,
        "vector_store_id": member.collection_id,
        "usage_bytes": member.num_bytes,
        "status": member.status,
        "last_error": error,
        "attributes": member.attributes,
        "chunking_strategy": {"type": "other"},
    }


def deleted_json(deleted_id: str, kind: str) -> Json:
    return {"id": deleted_id, "object": kind, "deleted": True}


def search_json(queries: Sequence[str], found: Sequence[FoundPage]) -> Json:
    return {
        "object": "vector_store.search_results.page",
        "search_query": list(queries),
        "data": [
            {
                "file_id": page.file.file_id,
                "filename": page.file.name,
                "score": page.score,
                "attributes": page.file.attributes,
                "content": [{"type": "text", "text": page.text}],
                "page": page.page_index + 1,
            }
            for page in found
        ],
        "has_more": False,
        "next_page": None,
    }
