"""The store of uploaded files: durable, shared, whole after a kill at any step."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from glyph_core.config import StoreConfig
from glyph_core.errors import ConfigError, NotFoundError, QuotaError
from glyph_core.storage.files import FileStore, StoredFile
from glyph_core.types import DocumentSource
from tests.clock import Clock

CONTENT = b"The fee is 400 crowns a month. " * 100_000  # three chunks of the copy


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> FileStore:
    return FileStore(StoreConfig(path=str(tmp_path)), clock)


def add(
    store: FileStore, content: bytes = CONTENT, owner: str = "ana", name: str = "a.txt", **kwargs: int
) -> StoredFile:
    return store.add(owner, name, "user_data", io.BytesIO(content), len(content), **kwargs)


def blobs_in(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


def test_a_file_comes_back_as_it_was(store: FileStore, tmp_path: Path) -> None:
    file = add(store)
    source = store.read("ana", file.id)
    assert source == DocumentSource("a.txt", CONTENT)
    assert source.digest == file.digest == DocumentSource("a.txt", CONTENT).digest
    assert b"".join(store.chunks("ana", file.id)) == CONTENT
    assert store.get("ana", file.id) == file
    again = FileStore(StoreConfig(path=str(tmp_path)))
    assert again.read("ana", file.id) == source
    again.check_integrity()


def test_nobody_sees_anothers_files(store: FileStore) -> None:
    file = add(store)
    for see in (store.get, store.read, store.chunks, store.delete):
        with pytest.raises(NotFoundError, match="there is no file 'file-"):
            see("ben", file.id)
    assert store.list_after("ben", limit=10) == ([], False)
    with pytest.raises(NotFoundError):
        store.list_after("ben", limit=10, after=file.id)
    assert store.get("ana", file.id) == file


def test_equal_contents_are_kept_once_and_as_long_as_anybody_has_them(store: FileStore, tmp_path: Path) -> None:
    first, second = add(store), add(store, owner="ben", name="b.txt")
    assert first.id != second.id
    assert len(blobs_in(tmp_path)) == 1
    store.delete("ana", first.id)
    assert store.read("ben", second.id).content == CONTENT
    with pytest.raises(NotFoundError):
        store.read("ana", first.id)
    store.delete("ben", second.id)
    assert blobs_in(tmp_path) == []


def test_a_list_in_pages(store: FileStore) -> None:
    files = [add(store, bytes([i]), name=f"{i}.txt") for i in range(5)]
    assert store.list_after("ana", limit=2) == ([files[4], files[3]], True)
    assert store.list_after("ana", limit=2, after=files[3].id) == ([files[2], files[1]], True)
    assert store.list_after("ana", limit=2, after=files[1].id) == ([files[0]], False)
    assert store.list_after("ana", limit=9, order="asc", after=files[2].id) == (files[3:], False)
    assert store.list_after("ana", limit=9, purpose="assistants") == ([], False)


def test_expired_files_are_gone_at_once_and_swept_later(store: FileStore, clock: Clock, tmp_path: Path) -> None:
    brief, lasting = add(store, b"brief", expires_after_s=3600), add(store, b"lasting")
    assert brief.expires_at == brief.created_at + 3600
    clock.now += 3599
    assert store.get("ana", brief.id) == brief
    clock.now += 1
    with pytest.raises(NotFoundError):
        store.get("ana", brief.id)
    assert store.list_after("ana", limit=9) == ([lasting], False)
    assert len(blobs_in(tmp_path)) == 2
    assert store.sweep() == 1
    assert len(blobs_in(tmp_path)) == 1
    assert store.read("ana", lasting.id).content == b"lasting"


def test_an_expiry_for_all(tmp_path: Path, clock: Clock) -> None:
    store = FileStore(StoreConfig(path=str(tmp_path), keep_days=0.5), clock)
    assert add(store).expires_at == int(clock.now) + 43_200
    assert add(store, expires_after_s=60).expires_at == int(clock.now) + 60


def test_an_owners_files_have_a_quota(tmp_path: Path, clock: Clock) -> None:
    store = FileStore(StoreConfig(path=str(tmp_path), quota_gb=1000 / 1024**3), clock)
    add(store, b"x" * 600, expires_after_s=100)
    with pytest.raises(QuotaError, match="make 600 bytes, and this one has 401"):
        add(store, b"y" * 401)
    add(store, b"y" * 401, owner="ben")
    add(store, b"z" * 400)
    clock.now += 100
    add(store, b"w" * 600)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_file_that_was_not_whole_is_refused(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="5 bytes came, and 6 were announced"):
        store.add("ana", "a", "user_data", io.BytesIO(b"12345"), 6)
    assert store.list_after("ana", limit=9) == ([], False)
    assert store.blobs.discard_older_than(0) == 1


def test_threads_and_processes_share_a_store(tmp_path: Path) -> None:
    stores = [FileStore(StoreConfig(path=str(tmp_path))) for _ in range(2)]

    def work(number: int) -> None:
        store = stores[number % 2]
        for turn in range(10):
            file = add(store, f"shared {turn % 3}".encode(), owner=f"o{number}")
            assert stores[(number + 1) % 2].read(f"o{number}", file.id).content == f"shared {turn % 3}".encode()
            store.delete(f"o{number}", file.id)
            assert store.remove_orphans() >= 0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    stores[0].check_integrity()
    assert blobs_in(tmp_path) == []


def test_another_file_system(clock: Clock, tmp_path: Path) -> None:
    store = FileStore(StoreConfig(path="memory://glyph/store", index=str(tmp_path)), clock)
    file = add(store)
    assert store.read("ana", file.id).content == CONTENT
    store.check_integrity()
    store.delete("ana", file.id)
    assert store.blobs.digests() == []
    assert blobs_in(tmp_path) == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"path": "memory://a"}, "store.index must name a folder"),
        ({"path": "nonesuch://a", "index": "{tmp}"}, "nonesuch"),
        ({"path": "{tmp}/file/below"}, "cannot be used|cannot be kept"),
    ],
)
def test_a_store_that_cannot_be(tmp_path: Path, config: dict[str, str], message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=message):
        FileStore(StoreConfig(**{name: value.format(tmp=tmp_path) for name, value in config.items()}))


def test_an_index_of_a_later_version_is_left_alone(store: FileStore, tmp_path: Path) -> None:
    store.database.connection().execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="version 99"):
        FileStore(StoreConfig(path=str(tmp_path)))


KILLED = """
    import io, os, signal, sys
    from glyph_core.config import StoreConfig
    from glyph_core.storage import blobs, files

    folder, point = sys.argv[1:]
    calls = 0

    def dies_at(owner, name, call, before):
        real = getattr(owner, name)
        def method(*args, **kwargs):
            global calls
            calls += 1
            if before and calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if not before and calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        setattr(owner, name, method)

    store = files.FileStore(StoreConfig(path=folder))
    kept = store.add("ana", "kept", "user_data", io.BytesIO(b"kept"), 4)
    if point == "writing":
        class Content(io.BytesIO):
            def read(self, size):
                chunk = super().read(size)
                if self.tell() > 2_000_000:
                    os.kill(os.getpid(), signal.SIGKILL)
                return chunk
    else:
        Content = io.BytesIO
        owner, name, call, before = {
            "written": (store.blobs, "place", 1, True),
            "placed": (store.blobs, "place", 1, False),
            "inserted": (files, "_insert", 1, False),
            "deleted": (store, "_remove_unneeded", 1, True),
            "removed": (store.blobs, "remove", 1, False),
        }[point]
        dies_at(owner, name, call, before)
    content = b"The fee is 400 crowns a month. " * 100_000
    new = store.add("ana", "new", "user_data", Content(content), len(content))
    store.delete("ana", new.id)
"""


@pytest.mark.parametrize("point", ["writing", "written", "placed", "inserted", "deleted", "removed"])
def test_a_kill_leaves_the_file_or_nothing(tmp_path: Path, point: str) -> None:
    script = textwrap.dedent(KILLED)
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path), point], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    store = FileStore(StoreConfig(path=str(tmp_path)))
    store.check_integrity()
    assert [file.name for file in store.list_after("ana", limit=9)[0]] == ["kept"]
    store.sweep(max_upload_s=0)
    assert store.remove_orphans() == (1 if point in {"placed", "inserted", "deleted"} else 0)
    assert len(blobs_in(tmp_path)) == 1
    assert list((tmp_path / "incoming").iterdir()) == []
    assert add(store).num_bytes == len(CONTENT)
    store.check_integrity()
