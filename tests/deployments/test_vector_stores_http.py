"""Collections over HTTP: real pages, read in the background and found again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from deployments.vector_stores.filters import Comparison, Compound
from glyph_core.config import StoreConfig, preset
from glyph_core.errors import StageError
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource
from tests.deployments.test_files_http import run, upload
from tests.deployments.test_http_api import assert_error

CONTRACT = "\n".join([*["Nothing of note stands on this line."] * 100, "The monthly fee is 400 crowns.",
                      *["Nothing of note stands on this line."] * 100]).encode()  # fmt: skip
CHINESE = "本合同的甲方是北京星河公司。\n违约金为合同总额的百分之五。\n".encode()


async def settled(client: httpx.AsyncClient, collection_id: str) -> dict[str, Any]:
    while (found := (await client.get(f"/v1/vector_stores/{collection_id}")).json())["status"] != "completed":
        await asyncio.sleep(0.01)
    return dict(found)


async def a_collection(client: httpx.AsyncClient, *contents: bytes, **fields: Any) -> tuple[str, list[str]]:
    ids = [(await upload(client, content, f"{n}.txt")).json()["id"] for n, content in enumerate(contents)]
    created = await client.post("/v1/vector_stores", json={"file_ids": ids, **fields})
    assert created.status_code == 200, created.text
    return created.json()["id"], ids


def test_a_question_finds_the_page_it_is_answered_on() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        collection_id, ids = await a_collection(client, CONTRACT, CHINESE, name="contracts")
        assert (await settled(client, collection_id))["file_counts"] == {
            "in_progress": 0, "completed": 2, "failed": 0, "cancelled": 0, "total": 2,
        }  # fmt: skip
        url = f"/v1/vector_stores/{collection_id}"
        found = (await client.post(f"{url}/search", json={"query": "What is the monthly fee?"})).json()
        assert found["object"] == "vector_store.search_results.page"
        assert found["search_query"] == ["What is the monthly fee?"]
        [result] = found["data"]
        source, renderer = DocumentSource("0.txt", CONTRACT), PageRenderer(preset("mini"))
        texts = [renderer.page_text(source, i).text for i in range(renderer.plan(source).num_pages)]
        [number] = [i for i, text in enumerate(texts, 1) if "400 crowns" in text]
        assert number > 1
        assert (result["file_id"], result["filename"], result["page"]) == (ids[0], "0.txt", number)
        assert result["content"] == [{"type": "text", "text": texts[number - 1]}]
        chinese = (await client.post(f"{url}/search", json={"query": ["甲方是谁？", "违约金"]})).json()["data"]
        assert [result["file_id"] for result in chinese] == [ids[1]]
        content = (await client.get(f"{url}/files/{ids[0]}/content")).json()
        assert [part["text"] for part in content["data"]] == texts
        none = (await client.post(f"{url}/search", json={"query": "What is it?"})).json()
        assert none["data"] == []

    run(test)


def test_what_cannot_be_read_says_why() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        collection_id, ids = await a_collection(
            client, CONTRACT, b"PK\x03\x04 an archive", b"", b"\x89PNG\r\n\x1a\nbroken"
        )
        assert (await settled(client, collection_id))["file_counts"]["failed"] == 3
        members = (await client.get(f"/v1/vector_stores/{collection_id}/files")).json()["data"]
        codes = {member["id"]: (member["last_error"] or {}).get("code") for member in members}
        assert codes == dict(zip(ids, [None, "unsupported_file", "invalid_file", "invalid_file"], strict=True))
        failed = (await client.get(f"/v1/vector_stores/{collection_id}/files?filter=failed")).json()["data"]
        assert [member["id"] for member in failed] == ids[:0:-1]
        assert all(member["last_error"]["message"] for member in failed)

    run(test)


def test_files_are_told_apart_by_their_attributes() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        collection_id, ids = await a_collection(client)
        url = f"/v1/vector_stores/{collection_id}"
        for year in (2024, 2026):
            file_id = (await upload(client, f"the fee of {year}".encode())).json()["id"]
            await client.post(f"{url}/files", json={"file_id": file_id, "attributes": {"year": year, "kind": "a"}})
            ids.append(file_id)
        await settled(client, collection_id)

        async def found(**filters: Any) -> list[str]:
            body = {"query": "fee", "filters": filters or None}
            return [result["file_id"] for result in (await client.post(f"{url}/search", json=body)).json()["data"]]

        newer = {"type": "gt", "key": "year", "value": 2025}
        assert sorted(await found()) == sorted(ids)
        assert await found(**newer) == [ids[1]]
        assert await found(type="and", filters=[newer, {"type": "eq", "key": "kind", "value": "b"}]) == []
        await client.post(f"{url}/files/{ids[1]}", json={"attributes": {"year": 2020}})
        assert await found(**newer) == []

    run(test)


def test_the_life_of_a_collection() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        collection_id, ids = await a_collection(client, CHINESE, name="a", metadata={"team": "x"},
                                                expires_after={"anchor": "last_active_at", "days": 3})  # fmt: skip
        url = f"/v1/vector_stores/{collection_id}"
        created = await settled(client, collection_id)
        assert (created["object"], created["name"], created["metadata"]) == ("vector_store", "a", {"team": "x"})
        assert created["expires_at"] == created["last_active_at"] + 3 * 86_400
        changed = (await client.post(url, json={"name": "b", "expires_after": None})).json()
        assert (changed["name"], changed["metadata"], changed["expires_at"]) == ("b", {"team": "x"}, None)
        assert [found["id"] for found in (await client.get("/v1/vector_stores")).json()["data"]] == [collection_id]
        removed = (await client.delete(f"{url}/files/{ids[0]}")).json()
        assert removed == {"id": ids[0], "object": "vector_store.file.deleted", "deleted": True}
        assert (await client.get(f"/v1/files/{ids[0]}")).status_code == 200
        deleted = (await client.delete(url)).json()
        assert deleted == {"id": collection_id, "object": "vector_store.deleted", "deleted": True}
        assert_error(await client.get(url), 404, "not_found", "vector_store_id")

    run(test)


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("", {"file_ids": ["file-nowhere"]}, 404, "file_id"),
        ("", {"colour": "red"}, 400, "colour"),
        ("", {"chunking_strategy": {"type": "static"}}, 400, "chunking_strategy.type"),
        ("/vs_nowhere", {"name": "x"}, 404, "vector_store_id"),
        ("/vs_nowhere/search", {"query": "x"}, 404, "vector_store_id"),
        ("/{id}/search", {}, 400, "query"),
        ("/{id}/search", {"query": "x", "max_num_results": 51}, 400, "max_num_results"),
        ("/{id}/search", {"query": []}, 400, "query"),
        ("/{id}/search", {"query": ["x"] * 17}, 400, "query"),
        ("/{id}/search", {"query": ["x", ""]}, 400, "query.1"),
        ("", {"metadata": {"k": "v" * 513}}, 400, "metadata.k"),
        ("", {"metadata": {"k" * 65: "v"}}, 400, "metadata." + "k" * 65 + ".[key]"),
        ("/{id}/search", {"query": "x", "rewrite_query": True}, 400, "rewrite_query"),
        ("/{id}/files", {"file_id": "file-nowhere"}, 404, "file_id"),
    ],
)
def test_what_is_wrong_is_named(path: str, body: dict[str, Any], status: int, param: str) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        collection_id, _ = await a_collection(client)
        answer = await client.post(f"/v1/vector_stores{path.format(id=collection_id)}", json=body)
        assert_error(answer, status, "not_found" if status == 404 else "invalid_request", param)

    run(test)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999"])
def test_a_number_that_json_cannot_hold_is_refused_and_not_kept(number: bytes) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        collection_id, [file_id] = await a_collection(client, CHINESE)
        url = f"/v1/vector_stores/{collection_id}/files"
        sent = await client.post(f"{url}/{file_id}", content=b'{"attributes": {"year": ' + number + b"}}")
        assert sent.status_code == 400
        assert [member["attributes"] for member in (await client.get(url)).json()["data"]] == [{}]

    run(test)


def test_reading_goes_on_after_a_restart_and_after_a_renderer_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_left = 2

    def dies(self: PageRenderer, source: DocumentSource, page_index: int) -> Any:
        nonlocal num_left
        num_left -= 1
        raise StageError("the renderer died")

    async def leave(client: httpx.AsyncClient) -> None:
        nonlocal collection_id
        collection_id, _ = await a_collection(client, CHINESE)
        while num_left > 1:
            await asyncio.sleep(0.01)

    async def come_back(client: httpx.AsyncClient) -> None:
        assert (await settled(client, collection_id))["file_counts"]["completed"] == 1

    collection_id = ""
    store = StoreConfig(path=str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(PageRenderer, "page_text", dies)
        run(leave, store=store)
    run(come_back, store=store)


@pytest.mark.parametrize(("kind", "value"), [("in", "lease"), ("nin", 2024), ("eq", ["lease"]), ("gt", [1])])
def test_a_filter_by_a_list_wants_a_list_and_no_other_does(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError, match="'in' and 'nin' compare with a list"):
        Comparison(type=kind, key="kind", value=value)


def test_filters() -> None:
    attributes: dict[str, Any] = {"year": 2024, "kind": "lease"}

    def holds(kind: Any, key: str, value: Any) -> bool:
        return Comparison(type=kind, key=key, value=value).matches(attributes)

    assert holds("eq", "year", 2024)
    assert not holds("eq", "year", 2025)
    assert holds("ne", "year", 2025)
    assert holds("gte", "year", 2024)
    assert not holds("gt", "year", 2024)
    assert holds("lte", "year", 2024)
    assert not holds("lt", "year", 2024)
    assert holds("in", "kind", ["lease", "loan"])
    assert holds("nin", "kind", ["loan"])
    assert not holds("gt", "kind", 3)
    assert not holds("eq", "colour", "red")
    assert holds("ne", "colour", "red")
    parts = [Comparison(type="eq", key="year", value=1), Comparison(type="eq", key="kind", value="lease")]
    assert Compound(type="or", filters=list(parts)).matches(attributes)
    assert not Compound(type="and", filters=list(parts)).matches(attributes)
