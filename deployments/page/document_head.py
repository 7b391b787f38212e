"""What stands in the page's head before Gradio's scripts run: Gradio's own ``head`` comes after them, when the page was
seen without style and the browser's language was asked."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOREVER = "public, max-age=31536000, immutable"


class DocumentHead:
    """Puts the HTML of ``heads`` (by the path of its page) into each page, and lets browsers keep what never changes:
    the files of Gradio's whose names hold their digests."""

    def __init__(self, app: ASGIApp, heads: Mapping[str, str]) -> None:
        self._app, self._heads = app, heads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        if path in self._heads and scope["method"] == "GET":
            headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            await self._app({**scope, "headers": headers}, receive, _Inserting(send, self._heads[path]))
        elif "/assets/" in path:
            await self._app(scope, receive, _kept(send))
        else:
            await self._app(scope, receive, send)


class _Inserting:
    """A ``send`` that puts ``head`` behind <head>; the page comes in one piece of some 90 kB."""

    def __init__(self, send: Send, head: str) -> None:
        self._send, self._head = send, head
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._body.replace(b"<head>", b"<head>" + self._head.encode(), 1)
        headers = MutableHeaders(raw=self._start["headers"])
        headers["Content-Length"] = str(len(body))
        headers["Cache-Control"] = "no-cache"
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


def _kept(send: Send) -> Send:
    async def keeping(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            MutableHeaders(raw=message["headers"])["Cache-Control"] = FOREVER
        await send(message)

    return keeping
