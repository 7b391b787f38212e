"""What stands in the page's head before Gradio's scripts run: Gradio's own ``head`` comes after them, when the page was
seen without style and the browser's language was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Head:
    """HTML for a page: before all that Gradio puts into its head, and after it."""

    first: str
    last: str = ""


class DocumentHead:
    """Puts the HTML of ``heads`` (by the path of its page) into each page."""

    def __init__(self, app: ASGIApp, heads: Mapping[str, Head]) -> None:
        self._app, self._heads = app, heads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        if path in self._heads and scope["method"] == "GET":
            headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            await self._app({**scope, "headers": headers}, receive, _Inserting(send, self._heads[path]))
        else:
            await self._app(scope, receive, send)


class _Inserting:
    """A ``send`` that puts ``head`` between <head> and </head>; the page comes in one piece of some 90 kB."""

    def __init__(self, send: Send, head: Head) -> None:
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
        body = self._body.replace(b"<head>", b"<head>" + self._head.first.encode(), 1)
        body = body.replace(b"</head>", self._head.last.encode() + b"</head>", 1)
        headers = MutableHeaders(raw=self._start["headers"])
        headers["Content-Length"] = str(len(body))
        headers["Cache-Control"] = "no-cache"
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})
