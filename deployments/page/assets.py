"""Gradio's scripts and styles, from memory. A first visit takes 75 files, and what Serve and Gradio do for one of them
costs ten times what its few hundred bytes do: so styles come as one file, and everything without Gradio's routes.

A style that can say nothing of another component's elements, as each of its rules names Svelte's mark of its own, may
be in a page that lacks its component; the few others are left as they are. Gradio's own script asks for a style only
where no link of its address is in the page: links that are disabled are not fetched and satisfy it. Where a coming
Gradio asks anyhow, it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from mimetypes import guess_type
from pathlib import Path

import brotli
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from glyph_core.types import digest_of

FOREVER = "public, max-age=31536000, immutable"
MAX_KEPT = 512  # files; a visit takes 45, and all that Gradio ships are 900
SCOPE = ".svelte-"
PRELUDE = re.compile(r"([^{};]+)\{")  # of a CSS rule
KEYFRAME = re.compile(r"from|to|[\d.%]+")
QUALITY = 9  # of compression, once for each file
LEAST_COMPRESSED = 400  # bytes


class Assets:
    """The files of Gradio's folder ``folder``, whose names hold their digests, and its components' styles as one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = {path.name for path in folder.iterdir() if path.is_file()}
        styles = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.css"))}
        scoped = {name: style for name, style in styles.items() if is_scoped(style)}
        self._styles = "\n".join(scoped.values()).encode()
        self._styles_name = f"styles-{digest_of(self._styles)[:12]}.css"
        self._replaced = list(scoped)
        self._content = lru_cache(MAX_KEPT)(self._read)

    def links(self, folder: str) -> str:
        """HTML that loads the one style and keeps the page from asking for those in it; ``folder`` is the address."""
        replaced = "".join(f'<link rel="stylesheet" disabled href="{folder}{name}">' for name in self._replaced)
        return f'<link rel="stylesheet" href="{folder}{self._styles_name}">{replaced}'

    def response(self, name: str, accepted: str) -> Response | None:
        """The file ``name`` for a client that takes the encodings ``accepted``; None where there is none such."""
        if name not in self._names and name != self._styles_name:
            return None
        plain, compressed = self._content(name)
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
        is_compressed = compressed is not None and "br" in {each.split(";")[0].strip() for each in accepted.split(",")}
        if is_compressed:
            headers["Content-Encoding"] = "br"
        media_type = guess_type(name)[0] or "application/octet-stream"
        return Response(compressed if is_compressed else plain, headers=headers, media_type=media_type)

    def _read(self, name: str) -> tuple[bytes, bytes | None]:
        content = self._styles if name == self._styles_name else (self._folder / name).read_bytes()
        is_text = Path(name).suffix in {".js", ".css", ".svg", ".json"}
        compressed = brotli.compress(content, quality=QUALITY) if is_text and len(content) >= LEAST_COMPRESSED else None
        return content, compressed


def is_scoped(style: str) -> bool:
    """Whether each selector of the CSS ``style`` names an element of Svelte's by its mark; in doubt, not."""
    preludes = [each.strip() for each in PRELUDE.findall(style)]
    selectors = [part.strip() for each in preludes if not each.startswith("@") for part in each.split(",")]
    return all(SCOPE in selector or KEYFRAME.fullmatch(selector) for selector in selectors)


class FromMemory:
    """Answers what ``assets`` has, by the address of its folder, and leaves the rest to ``app``."""

    def __init__(self, app: ASGIApp, assets: Mapping[str, Assets]) -> None:
        self._app, self._assets = app, assets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found(scope) if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} else None
        await (found or self._app)(scope, receive, send)

    def _found(self, scope: Scope) -> Response | None:
        folder, _, name = scope["path"].removeprefix(scope.get("root_path", "")).rpartition("/")
        assets = self._assets.get(f"{folder}/")
        accepted = ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == b"accept-encoding")
        return assets.response(name, accepted) if assets else None
