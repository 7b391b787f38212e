"""Who may ask: API keys, and the refusal to listen to the world without any.

Keys come from a file or from the environment variable GLYPH_API_KEYS, one a line or with commas between them, each as
``key`` or ``name: key``. Only their digests are kept, and logs and metrics know callers by name. A name may be
``team/name``: what is kept for a caller, such as files, is then the team's.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import Field

from glyph_core.config import Config
from glyph_core.errors import AuthenticationError, ConfigError

KEYS_VARIABLE = "GLYPH_API_KEYS"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
ANONYMOUS = "anonymous"  # every caller's name where there are no keys
MIN_KEY_CHARS = 16
ENTRY = re.compile(
    r"(?:(?P<name>[\w.-]+(?:/[\w.-]+)?)\s*:\s*)?(?P<key>[!-+\--9;-~]+)"
)  # a key: printable ASCII but comma and colon


class AccessConfig(Config):
    """Who may ask, and how much each of them."""

    keys_file: str | None = Field(None, description=f"API keys, one a line; else those of {KEYS_VARIABLE}")
    allow_unauthenticated: bool = Field(False, description="listen to other machines without a key")
    requests_per_minute: float | None = Field(None, gt=0, description="of one key, in the long run; None: any number")
    burst: int = Field(10, ge=1, description="requests of one key that may come at once before the rate counts")
    max_concurrent: int | None = Field(None, ge=1, description="requests of one key that are open; None: any number")
    cors_origins: tuple[str, ...] = Field((), description="origins whose pages may ask from a browser; * is any")


class ApiKeys:
    """The keys by their callers' names; none of them: everybody may ask."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._digests = {name: _digest(key) for name, key in keys.items()}

    @classmethod
    def of(cls, config: AccessConfig, environment: Mapping[str, str] = os.environ) -> ApiKeys:
        """Raises ConfigError for a file that cannot be read or holds no key, and for what is no key."""
        if config.keys_file is None:
            return cls(parse_keys(environment.get(KEYS_VARIABLE, ""), KEYS_VARIABLE))
        path = Path(config.keys_file).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the API keys in {path} cannot be read: {error}") from error
        keys = parse_keys(text, str(path))
        if not keys:
            raise ConfigError(f"{path} holds no API key; write one a line, or leave access.keys_file out")
        return cls(keys)

    def __len__(self) -> int:
        return len(self._digests)

    def caller(self, authorization: str | None) -> str:
        """The name of whoever sent this Authorization header. Raises AuthenticationError where nobody known did.

        Every key is compared, in constant time, so that the time taken tells nothing about any of them.
        """
        if not self._digests:
            return ANONYMOUS
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise AuthenticationError("this service wants an API key: send the header `Authorization: Bearer <key>`")
        digest = _digest(key.strip())
        found = [name for name, known in self._digests.items() if hmac.compare_digest(digest, known)]
        if not found:
            raise AuthenticationError("this API key is not known here; ask whoever runs the service for one")
        return found[0]


def owner_of(caller: str) -> str:
    """Whose the things are that this caller leaves here: its team's, or else its own."""
    return caller.partition("/")[0]


def parse_keys(text: str, source: str) -> dict[str, str]:
    """Keys by name. Raises ConfigError, which never quotes a key, for what cannot be one."""
    keys: dict[str, str] = {}
    lines = (line.partition("#")[0] for line in text.splitlines())
    entries = [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]
    for number, entry in enumerate(entries, 1):
        match = ENTRY.fullmatch(entry)
        if match is None or len(match["key"]) < MIN_KEY_CHARS:
            raise ConfigError(
                f"API key {number} of {source} must be `key` or `name: key`, the key of {MIN_KEY_CHARS} or more "
                "printable characters without comma, colon, space and #"
            )
        name = match["name"] or f"key-{number}"
        if name in keys:
            raise ConfigError(f"two API keys of {source} are called {name!r}; a name tells callers apart")
        if match["key"] in keys.values():
            raise ConfigError(f"API key {number} of {source} stands there twice: nobody could tell the callers apart")
        keys[name] = match["key"]
    return keys


def check_exposure(host: str, keys: ApiKeys, config: AccessConfig) -> None:
    """Raises ConfigError where other machines could ask without a key and nobody said that they may."""
    if host not in LOOPBACK_HOSTS and not keys and not config.allow_unauthenticated:
        raise ConfigError(
            f"listening on {host} lets every machine that reaches this one ask, and there is no API key: set "
            f"{KEYS_VARIABLE} or access.keys_file, or say access.allow_unauthenticated (--allow-unauthenticated)"
        )


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()
