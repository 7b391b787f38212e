"""What every measurement's report says: when, on what, and with which releases."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import machine
from typing import Any

Json = dict[str, Any]
Show = Callable[[str], None]  # hears what is being measured


def now() -> str:
    """The moment, in UTC, as reports carry it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def installed_versions(*packages: str) -> dict[str, str]:
    """Of those that are installed."""
    versions = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), machine())
