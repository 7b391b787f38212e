"""kill -9 of the endpoint while files are uploaded and a batch runs, and of the batch itself."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from deployments.bench.ports import free_port
from glyph_core.config import StoreConfig
from glyph_core.storage.files import FileStore
from tests.deployments.serving import wait_until

CONCURRENCY = 3
START_S = 240  # on a busy machine
NUM_QUESTIONS = 6
FILES_PER_KILL = 6  # so many that the batch outlives the kills


class Killed:
    """A program that is started again after each kill."""

    def __init__(self, *command: str) -> None:
        self._command = [sys.executable, "-m", *command]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "200"})

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Uploads(threading.Thread):
    """Uploads one file after another, whether anybody is there or not."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.client, self.stopping = httpx.Client(base_url=url, timeout=60, trust_env=False), threading.Event()
        self.acknowledged: dict[str, bytes] = {}

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            content = f"upload {number} ".encode() * random.randrange(1, 300_000)
            try:
                answer = self.client.post("/v1/files", files={"file": ("u", content)}, data={"purpose": "vision"})
                self.acknowledged[answer.raise_for_status().json()["id"]] = content
            except httpx.TransportError:
                time.sleep(0.1)


@contextmanager
def uploading(url: str) -> Iterator[Uploads]:
    uploads = Uploads(url)
    uploads.start()
    try:
        yield uploads
    finally:
        uploads.stopping.set()
        uploads.join()


@pytest.mark.parametrize("num_kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_nothing_is_lost_or_asked_twice(tmp_path: Path, num_kills: int) -> None:
    folder, store, asked, out = (tmp_path / name for name in ("documents", "store", "asked", "answers.jsonl"))
    folder.mkdir()
    for number in range(FILES_PER_KILL * num_kills):
        (folder / f"{number:03}.txt").write_text(f"document {number}")
    questions = [f"Question {number}?" for number in range(NUM_QUESTIONS)]
    (tmp_path / "questions").write_text("\n".join(questions))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    client = httpx.Client(base_url=url, trust_env=False)

    def is_up() -> bool:
        with suppress(httpx.TransportError):
            return client.get("/healthz").status_code == 200
        time.sleep(0.2)
        return False

    def num_answered() -> int:
        return out.read_bytes().count(b"\n") if out.exists() else 0

    endpoint = Killed("tests.deployments.echo", str(port), str(store), str(asked))
    wait_until(is_up, START_S)
    inputs = [str(folder), "--questions", str(tmp_path / "questions"), "--out", str(out)]
    batch = Killed("tests.deployments.run_glyph", "batch", *inputs, "--url", url, "--concurrency", str(CONCURRENCY))
    try:
        with uploading(url) as uploads:
            for kill in range(num_kills):
                goal, kept = num_answered() + random.randrange(2, 12), len(uploads.acknowledged)
                wait_until(lambda: num_answered() > goal and len(uploads.acknowledged) > kept, START_S)  # noqa: B023
                if kill % 2:
                    batch.kill()
                endpoint.kill()
                endpoint.start()
                wait_until(is_up, START_S)
                if kill % 2:
                    batch.start()
        assert batch.process.wait(timeout=600) == 0
    finally:
        batch.kill()
        endpoint.kill()

    lines = [json.loads(line) for line in out.read_text().splitlines()]
    pairs = Counter((line["file"], line["question"]) for line in lines)
    assert pairs == Counter((path.name, question) for path in folder.iterdir() for question in questions)
    for line in lines:
        assert line["answer"] == f"{line['question']} {(folder / line['file']).read_text()}"
    num_asked = Counter(map(tuple, map(json.loads, asked.read_text().splitlines())))
    assert num_asked.keys() == pairs.keys()
    assert num_asked.total() - len(pairs) <= num_kills * CONCURRENCY  # those whose answers never came back

    files = FileStore(StoreConfig(path=str(store)))
    files.check_integrity()
    assert uploads.acknowledged
    for file_id, content in uploads.acknowledged.items():
        assert files.read("anonymous", file_id).content == content
    listed, _ = files.list_after("anonymous", limit=10_000, purpose="vision")
    assert len(listed) - len(uploads.acknowledged) <= num_kills  # kept, and killed before it could say so
    files.sweep(max_upload_s=0)
    files.remove_orphans()
    assert list((store / "incoming").iterdir()) == []
    assert len(files.blobs.digests()) == len({file.digest for file in files.list_after("anonymous", limit=10_000)[0]})
