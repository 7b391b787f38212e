"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if not Path("/dev/nvidiactl").exists():
    # Triton then runs its kernels as Python. It asks when it is first imported, and torch may do that: hence here.
    os.environ.setdefault("TRITON_INTERPRET", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Endpoints that a test starts keep their files here, not in the home folder."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True)
def _library_log_as_it_was() -> Iterator[None]:
    """A stage that runs in the tests' own process has the library's lines written where Serve's are."""
    library = logging.getLogger("glyph_core")
    handlers, level = list(library.handlers), library.level
    yield
    library.handlers[:] = handlers
    library.setLevel(level)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real documents beside the repository; they are not ours to ship."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real documents are not on this machine: there is no ../shared/data beside the repository")
    return folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """The documents that the repository ships."""
    return REPOSITORY / "examples"
