"""Pages of other sites, kept out of a service that has no API keys because it answers this machine alone.

A browser is a program of this machine, too, and sends requests wherever a page that it shows wants them sent. A page of
another site may post here; its origin tells. One whose own name was made to lead to this machine (DNS rebinding) may
even read what comes back, files and all; it asks for that name.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from deployments.access import LOOPBACK_HOSTS
from glyph_core.errors import ForbiddenError

WHAT_TO_DO = (
    "this service has no API keys, so it answers programs of this machine only: ask it as 127.0.0.1 or localhost, give "
    "it keys, or start it with access.allow_unauthenticated"
)


def check_browser(host: str, origin: str, cors_origins: Collection[str]) -> None:
    """``host`` and ``origin`` are a request's headers, empty where it has none. Raises ForbiddenError."""
    if host and not _is_here(f"//{host}"):
        raise ForbiddenError(f"the request is for the host {host!r}, and {WHAT_TO_DO}")
    if origin and not _is_here(origin) and not {"*", origin} & set(cors_origins):
        raise ForbiddenError(f"the request is a page's of {origin!r}, which access.cors_origins lacks; {WHAT_TO_DO}")


def _is_here(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
    except ValueError:  # such as //[
        return False
    return name in LOOPBACK_HOSTS or name.endswith(".localhost")
