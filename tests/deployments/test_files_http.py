"""Files over HTTP, before a decoder that says what it is told to."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from deployments.access import AccessConfig
from deployments.entrance import OverloadConfig
from deployments.files.previews import Previews
from deployments.protocol import DocumentRef, RangeRequest
from deployments.renderers import Renderers
from glyph_core.config import LimitConfig, RenderConfig, StoreConfig, preset
from glyph_core.errors import GlyphError, NotReadyError, OverloadedError, StageError
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.storage.files import FileStore
from glyph_core.types import DocumentPlan, DocumentSource, PagePlan
from tests.deployments.fakes import ScriptedDecoder, stored
from tests.deployments.local import LocalHandle
from tests.deployments.test_http_api import ANSWER, QUESTION, assert_error, serving

TEXT = b"The fee is 400 crowns.\n" * 100
Test = Callable[[httpx.AsyncClient], Awaitable[None]]
KEYS = {name: f"{name}-has-a-key-of-length" for name in ("ana", "ben", "legal-1", "legal-2")}


def run(test: Test, *, access: AccessConfig | None = None, store: StoreConfig | None = None, **limits: int) -> None:
    async def in_service() -> None:
        async with serving(
            ScriptedDecoder([ANSWER]), LimitConfig(**limits), access=access, store=store, warm_up=access is None
        ) as client:
            await test(client)

    asyncio.run(asyncio.wait_for(in_service(), 300))


async def upload(
    client: httpx.AsyncClient, content: bytes = TEXT, name: str = "a.txt", **fields: str
) -> httpx.Response:
    data = {"purpose": "user_data"} | fields
    return await client.post("/v1/files", files={"file": (name, content)}, data=data)


def test_the_life_of_a_file(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        file = (await upload(client, name="Übersicht 第1条.txt")).json()
        assert file == {
            "id": file["id"], "object": "file", "bytes": len(TEXT), "created_at": file["created_at"],
            "expires_at": None, "filename": "Übersicht 第1条.txt", "purpose": "user_data", "status": "processed",
            "status_details": None,
        }  # fmt: skip
        assert (await client.get(f"/v1/files/{file['id']}")).json() == file
        listed = (await client.get("/v1/files")).json()
        assert listed == {"object": "list", "data": [file], "first_id": file["id"], "last_id": file["id"],
                          "has_more": False}  # fmt: skip
        content = await client.get(f"/v1/files/{file['id']}/content")
        assert content.content == TEXT
        assert "%E7%AC%AC1" in content.headers["content-disposition"]
        deleted = (await client.delete(f"/v1/files/{file['id']}")).json()
        assert deleted == {"id": file["id"], "object": "file", "deleted": True}
        for gone in (f"/v1/files/{file['id']}", f"/v1/files/{file['id']}/content", f"/v1/files/{file['id']}/pages"):
            assert_error(await client.get(gone), 404, "not_found", "file_id")
        assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []

    run(test, store=StoreConfig(path=str(tmp_path)))


def test_a_long_list_is_written_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    written_in: set[str] = set()

    def noted(rows: list[Any], has_more: bool) -> Any:
        written_in.add(threading.current_thread().name)
        return {"data": rows}

    monkeypatch.setattr("deployments.files.routes.list_json", noted)

    async def test(client: httpx.AsyncClient) -> None:
        assert (await client.get("/v1/files")).json() == {"data": []}

    run(test)
    assert written_in
    assert threading.main_thread().name not in written_in


def test_what_is_wrong_with_an_upload() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        assert_error(await upload(client, purpose="fine-tune"), 400, "invalid_request", "purpose")
        assert_error(await upload(client, colour="red"), 400, "invalid_request", "colour")
        soon = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}
        assert_error(await upload(client, **soon), 400, "invalid_request", "expires_after.seconds")
        assert_error(await upload(client, name="n" * 1025), 400, "invalid_request", "file")
        no_file = await client.post("/v1/files", data={"purpose": "user_data"}, files={"other": ("a", b"a")})
        assert_error(no_file, 400, "invalid_request", "other")
        assert_error(await client.post("/v1/files", json={}), 400, "invalid_request")
        broken = {"content-type": "multipart/form-data; boundary=b"}
        assert_error(await client.post("/v1/files", content=b"no form", headers=broken), 400, "invalid_request")
        assert_error(await client.get("/v1/files", params={"limit": 0}), 400, "invalid_request", "limit")
        assert_error(await client.get("/v1/files", params={"page": 1}), 400, "invalid_request", "page")
        assert (await client.get("/v1/files")).json()["data"] == []

    run(test)


def test_a_file_over_the_limit_is_refused_while_it_comes(tmp_path: Path) -> None:
    num_sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal num_sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(1000):
            num_sent += 1
            yield b"x" * 10_000

    async def test(client: httpx.AsyncClient) -> None:
        form = {"content-type": "multipart/form-data; boundary=b"}
        message = assert_error(
            await client.post("/v1/files", content=endless(), headers=form), 413, "document_too_large", "file"
        )
        assert "may have 100000 bytes" in message
        assert num_sent == 17
        assert (await upload(client, b"x" * 100_000)).status_code == 200
        assert_error(await upload(client, b"x" * 100_001), 413, "document_too_large", "file")
        assert_error(await upload(client, b"x" * 300_000), 413, "document_too_large", "file")
        assert len((await client.get("/v1/files")).json()["data"]) == 1
        assert list((tmp_path / "incoming").iterdir()) == []

    run(test, store=StoreConfig(path=str(tmp_path)), max_document_bytes=100_000)


def test_a_question_about_an_uploaded_file() -> None:
    decoder = ScriptedDecoder([ANSWER])

    async def test() -> None:
        async with serving(decoder, LimitConfig(max_request_bytes=len(TEXT) + 1)) as client:
            file = (await upload(client)).json()
            decoder.requests.clear()
            part = {"type": "file", "file": {"file_id": file["id"]}}
            content: list[Any] = [part, {"type": "text", "text": "What is the fee?"}]
            body = {**QUESTION, "messages": [{"role": "user", "content": content}]}
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
            [document] = decoder.requests[0].documents
            assert (document.name, await document.content) == ("a.txt", TEXT)
            assert document.digest == DocumentSource("", TEXT).digest
            content.insert(0, part)
            twice = await client.post("/v1/chat/completions", json=body)
            assert_error(twice, 413, "document_too_large", "messages")
            await client.delete(f"/v1/files/{file['id']}")
            assert_error(await client.post("/v1/chat/completions", json=body), 404, "not_found", "file_id")

    asyncio.run(asyncio.wait_for(test(), 300))


@pytest.mark.parametrize("call", ["compare", "pin"])
def test_files_that_are_compared_or_pinned_count_among_the_open_bytes(call: str) -> None:
    async def test() -> None:
        overload = OverloadConfig(max_open_bytes=len(TEXT) + 1000)
        async with serving(ScriptedDecoder([0.1, ANSWER]), overload=overload) as client:
            one, two = [(await upload(client, TEXT, f"{n}.txt")).json()["id"] for n in range(2)]
            if call == "pin":
                asked = [client.post(f"/v1/files/{each}/pin") for each in (one, two)]
            else:
                body = {"files": [{"file_id": one}, {"file_id": two}]}
                asked = [client.post("/v1/compare", json=body)]
            statuses = [response.status_code for response in await asyncio.gather(*asked)]
            assert 429 in statuses
            again = await client.post(f"/v1/files/{one}/pin")
            assert again.status_code == 200

    asyncio.run(asyncio.wait_for(test(), 60))


@pytest.mark.parametrize("error", [StageError("it died"), NotReadyError("no replica"), OverloadedError("no room")])
def test_a_file_is_deleted_whatever_has_become_of_the_decoder(error: GlyphError) -> None:
    class Gone(ScriptedDecoder):
        async def unpin(self, prefix: str) -> list[str]:
            raise error

    async def test() -> None:
        async with serving(Gone([ANSWER])) as client:
            url = f"/v1/files/{(await upload(client)).json()['id']}"
            assert (await client.delete(f"{url}/pin")).status_code == error.status
            assert (await client.delete(url)).status_code == 200
            assert (await client.get(url)).status_code == 404

    asyncio.run(asyncio.wait_for(test(), 60))


def test_keys_own_their_files_and_teams_share_theirs(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(
        f"ana: {KEYS['ana']}\nben: {KEYS['ben']}\nlegal/cy: {KEYS['legal-1']}\nlegal/di: {KEYS['legal-2']}\n"
    )

    def key(name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEYS[name]}"}

    async def test(client: httpx.AsyncClient) -> None:
        ids = {}
        for name in ("ana", "legal-1"):
            sent = await client.post(
                "/v1/files", files={"file": ("a.txt", TEXT)}, data={"purpose": "user_data"}, headers=key(name)
            )
            ids[name] = sent.json()["id"]
        seen = {
            name: [file["id"] for file in (await client.get("/v1/files", headers=key(name))).json()["data"]]
            for name in KEYS
        }
        assert seen == {"ana": [ids["ana"]], "ben": [], "legal-1": [ids["legal-1"]], "legal-2": [ids["legal-1"]]}
        url = f"/v1/files/{ids['ana']}"
        for call in (client.get(url, headers=key("ben")), client.delete(url, headers=key("ben")),
                     client.get(f"{url}/content", headers=key("legal-1")),
                     client.get(f"{url}/pages/1.png", headers=key("legal-1"))):  # fmt: skip
            assert_error(await call, 404, "not_found", "file_id")
        assert_error(await client.get(url), 401, "invalid_api_key")
        assert (await client.get(url, headers=key("ana"))).status_code == 200

    run(test, access=AccessConfig(keys_file=str(tmp_path / "keys")))


def test_pages_are_shown_as_the_model_sees_them() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        url = f"/v1/files/{(await upload(client)).json()['id']}/pages"
        source = DocumentSource("a.txt", TEXT)
        expected = PageRenderer(preset("mini")).render(source, 0, 2)
        pages = (await client.get(url)).json()
        assert pages["data"] == [
            {"number": i + 1, "width_px": p.plan.width_px, "height_px": p.plan.height_px}
            for i, p in enumerate(expected)
        ]
        response = await client.get(f"{url}/2.png")
        assert response.headers["content-type"] == "image/png"
        image = Image.open(io.BytesIO(response.content))
        assert image.tobytes() == expected[1].pixels.tobytes()
        again = await client.get(f"{url}/2.png", headers={"If-None-Match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        dense = await client.get(f"{url}/1.png", params={"preset": "glyph-en", "inverted": "true"})
        pixels = PageRenderer(preset("glyph-en").model_copy(update={"inverted": True})).render(source, 0, 1)[0].pixels
        assert Image.open(io.BytesIO(dense.content)).tobytes() == pixels.tobytes()
        assert dense.headers["etag"] != response.headers["etag"]

    run(test)


@pytest.mark.parametrize(
    ("path", "status", "code", "param"),
    [
        ("/0.png", 404, "not_found", None),
        ("/3.png", 404, "not_found", None),
        ("/1.jpg", 404, "not_found", None),
        ("/x.png", 404, "not_found", None),
        ("/1", 404, "not_found", None),
        (f"/{'9' * 5000}.png", 404, "not_found", None),
        ("/1.png?preset=huge", 400, "invalid_render_config", "preset"),
        ("/1.png?colour=red", 400, "invalid_request", "colour"),
        ("?font_size_px=1", 400, "invalid_render_config", "font_size_px"),
    ],
)
def test_pages_that_cannot_be_shown(path: str, status: int, code: str, param: str | None) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        file_id = (await upload(client)).json()["id"]
        assert_error(await client.get(f"/v1/files/{file_id}/pages{path}"), status, code, param)

    run(test)


def test_many_pictures_at_once_share_their_file_and_a_few_are_worked_on(tmp_path: Path) -> None:
    store = FileStore(StoreConfig(path=str(tmp_path)))
    ids = [store.add("ana", f"{n}.txt", "user_data", io.BytesIO(TEXT), len(TEXT)).id for n in range(20)]
    num_put = num_open = most_open = 0

    def put(document: DocumentSource) -> DocumentRef:
        nonlocal num_put
        num_put += 1
        return stored(document.content, document.name)

    class Slow:
        """A renderer, each of whose documents has twenty pages."""

        async def plan(self, document: DocumentRef, render: RenderConfig) -> DocumentPlan:
            nonlocal num_open, most_open
            num_open += 1
            most_open = max(most_open, num_open)
            await asyncio.sleep(0.005)
            pages = tuple(PagePlan(n, 28, 28, f"{n}") for n in range(20))
            return DocumentPlan(document.digest, document.name, "text/plain", pages, 0)

        async def page_png(self, page: RangeRequest) -> bytes:
            nonlocal num_open
            await asyncio.sleep(0.005)
            num_open -= 1
            return f"{page.document.name} {page.start}".encode()

    async def test() -> None:
        previews = Previews(store, Renderers(LocalHandle(Slow())), put, preset("mini"))  # type: ignore[arg-type]
        of_one = [previews.png("ana", ids[0], n, preset("mini")) for n in range(1, 21)]
        assert await asyncio.gather(*of_one) == [f"0.txt {n}".encode() for n in range(20)]
        assert num_put <= 3  # eight calls, eight and four: where all of some end together the content goes
        of_all = [previews.png("ana", each, 1, preset("mini")) for each in ids]
        assert await asyncio.gather(*of_all) == [f"{n}.txt 0".encode() for n in range(20)]
        assert most_open == 8

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_file_that_is_no_document_is_kept_but_not_shown() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        file = (await upload(client, b"PK\x03\x04 an archive", "a.zip")).json()
        assert file["status"] == "processed"
        assert_error(await client.get(f"/v1/files/{file['id']}/pages"), 415, "unsupported_document")

    run(test)


def test_half_an_upload_is_none(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of'

    async def test(client: httpx.AsyncClient) -> None:
        form = {"content-type": "multipart/form-data; boundary=b"}
        assert_error(await client.post("/v1/files", content=broken(), headers=form), 400, "invalid_request", "file")
        assert (await client.get("/v1/files")).json()["data"] == []

    run(test, store=StoreConfig(path=str(tmp_path)))
