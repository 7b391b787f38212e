"""Collections: whose they are, what is in them, how far it is read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from glyph_core.config import StoreConfig
from glyph_core.errors import NotFoundError
from glyph_core.storage.collections import Collections
from glyph_core.storage.files import FileStore
from glyph_core.storage.page_index import CLAIM_S, MAX_ATTEMPTS, PageIndex
from tests.clock import Clock

RENDER = "abc123"


@pytest.fixture
def files(tmp_path: Path, clock: Clock) -> FileStore:
    return FileStore(StoreConfig(path=str(tmp_path)), clock)


@pytest.fixture
def collections(files: FileStore) -> Collections:
    return Collections(files, RENDER)


@pytest.fixture
def index(files: FileStore) -> PageIndex:
    return PageIndex(files, RENDER)


def add(files: FileStore, content: bytes = b"text", owner: str = "ana") -> str:
    return files.add(owner, f"{content.decode()}.txt", "assistants", io.BytesIO(content), len(content)).id


def test_the_life_of_a_collection(collections: Collections, clock: Clock) -> None:
    first = collections.create("ana", "contracts", description="all", metadata={"team": "x"})
    second = collections.create("ana", "papers")
    assert (first.name, first.description, first.metadata, first.num_files) == ("contracts", "all", {"team": "x"}, {})
    assert [found.id for found in collections.list_after("ana", limit=9)[0]] == [second.id, first.id]
    assert collections.list_after("ana", limit=1) == ([second], True)
    assert collections.list_after("ana", limit=9, before=first.id)[0] == [second]
    clock.now += 5
    changed = collections.update("ana", first.id, {"name": "new", "metadata": {}, "keep_days": 2})
    assert (changed.name, changed.metadata, changed.description) == ("new", {}, "all")
    assert changed.expires_at == int(clock.now) + 2 * 86_400
    collections.delete("ana", second.id)
    with pytest.raises(NotFoundError, match="there is no vector store"):
        collections.get("ana", second.id)


def test_nobody_sees_anothers(collections: Collections, files: FileStore) -> None:
    mine, file_id = collections.create("ana", "mine"), add(files)
    theirs = collections.create("ben", "theirs")
    assert collections.list_after("ben", limit=9)[0] == [theirs]
    for call in (
        lambda: collections.get("ben", mine.id),
        lambda: collections.update("ben", mine.id, {"name": "x"}),
        lambda: collections.delete("ben", mine.id),
        lambda: collections.add("ben", theirs.id, file_id, {}),
        lambda: collections.add("ben", mine.id, add(files, owner="ben"), {}),
        lambda: collections.create("ben", "x", file_ids=[file_id]),
        lambda: collections.members_after("ben", mine.id, limit=9),
        lambda: collections.found_in("ben", [mine.id]),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert collections.members_after("ana", mine.id, limit=9) == ([], False)


def test_files_become_findable_when_they_are_read(collections: Collections, files: FileStore, index: PageIndex) -> None:
    good, bad, waiting = (add(files, content) for content in (b"good", b"bad", b"waiting"))
    collection = collections.create("ana", "c", file_ids=[good, bad, waiting])
    assert collection.num_files == {"in_progress": 3}
    assert collection.num_bytes == len(b"goodbadwaiting")
    for _ in range(2):
        claim = index.claim()
        assert claim is not None
        if claim.name == "good.txt":
            index.complete(claim, ["the fee"])
        else:
            index.fail(claim, "invalid_file", "damaged")
    assert collections.get("ana", collection.id).num_files == {"completed": 1, "failed": 1, "in_progress": 1}
    failed = collections.member("ana", collection.id, bad)
    assert (failed.status, failed.error_code, failed.error_message) == ("failed", "invalid_file", "damaged")
    assert [m.file_id for m in collections.members_after("ana", collection.id, limit=9, status="completed")[0]] == [
        good
    ]
    assert [member.file_id for member in collections.found_in("ana", [collection.id])] == [good]
    again = collections.create("ana", "d", file_ids=[good])  # the same bytes: read before
    assert again.num_files == {"completed": 1}
    assert PageIndex(files, "other").claim() is None


def test_what_leaves_a_collection_and_what_leaves_with_a_file(collections: Collections, files: FileStore) -> None:
    first, second = add(files, b"1"), add(files, b"2")
    collection = collections.create("ana", "c", file_ids=[first, second])
    collections.set_attributes("ana", collection.id, first, {"year": 2026, "draft": False})
    assert collections.member("ana", collection.id, first).attributes == {"year": 2026, "draft": False}
    collections.add("ana", collection.id, first, {})  # which it is in already
    assert collections.member("ana", collection.id, first).attributes == {"year": 2026, "draft": False}
    collections.remove("ana", collection.id, first)
    assert files.get("ana", first).id == first
    files.delete("ana", second)
    assert collections.get("ana", collection.id).num_files == {}
    with pytest.raises(NotFoundError, match="there is no file"):
        collections.member("ana", collection.id, first)
    collections.delete("ana", collection.id)
    assert files.get("ana", first).id == first


def test_a_file_that_is_deleted_while_it_is_put_in(
    collections: Collections, files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, kept, gone = collections.create("ana", "contracts"), add(files), add(files, b"gone")
    found = files.get("ana", gone)
    files.delete("ana", gone)
    monkeypatch.setattr(files, "get", lambda owner, file_id: found)  # as it was a moment ago
    with pytest.raises(NotFoundError, match=gone):
        collections.add("ana", made.id, gone, {})
    with pytest.raises(NotFoundError, match=gone):
        collections.create("ana", "papers", file_ids=[kept, gone])
    assert [one.name for one in collections.list_after("ana", limit=9)[0]] == ["contracts"]
    assert collections.get("ana", made.id).num_files == {}


def test_collections_expire_after_they_were_last_used(collections: Collections, clock: Clock) -> None:
    collection = collections.create("ana", "c", keep_days=1)
    clock.now += 86_399
    collections.found_in("ana", [collection.id])
    clock.now += 86_399
    assert collections.get("ana", collection.id)
    clock.now += 1
    assert collections.list_after("ana", limit=9) == ([], False)
    with pytest.raises(NotFoundError):
        collections.found_in("ana", [collection.id])
    assert collections.sweep() == 1


def test_a_claim_lapses_with_its_holder(
    collections: Collections, files: FileStore, index: PageIndex, clock: Clock
) -> None:
    collections.create("ana", "c", file_ids=[add(files)])
    first = index.claim()
    assert first is not None
    assert index.claim() is None
    clock.now += CLAIM_S / 2
    index.prolong(first)
    clock.now += CLAIM_S - 1
    assert index.claim() is None
    clock.now += 1
    second = index.claim()
    assert second is not None
    assert (second.key, second.is_last) == (first.key, False)
    index.give_back(second)
    third = index.claim()
    assert third is not None
    assert third.is_last == (MAX_ATTEMPTS == 3)
    index.complete(third, ["one", "two"])
    index.complete(first, ["one", "two"])  # whoever lost its claim did the same work
    assert index.pages_of(third.digest) == ["one", "two"]


def test_what_was_deleted_while_it_was_read(collections: Collections, files: FileStore, index: PageIndex) -> None:
    file_id = add(files)
    collections.create("ana", "c", file_ids=[file_id])
    claim = index.claim()
    assert claim is not None
    files.delete("ana", file_id)
    index.complete(claim, ["text"])
    index.fail(claim, "server_error", "late")
    assert index.pages_of(claim.digest) == []


def test_another_configuration_is_read_anew(collections: Collections, files: FileStore) -> None:
    collection = collections.create("ana", "c", file_ids=[add(files)])
    other = PageIndex(files, "def456")
    other.enqueue_members()
    claim = other.claim()
    assert claim is not None
    other.complete(claim, ["text"])
    assert Collections(files, "def456").get("ana", collection.id).num_files == {"completed": 1}
    assert collections.get("ana", collection.id).num_files == {"in_progress": 1}
