"""Pictures of pages for the browser, which cannot send an API key with an ``<img>``: it shows a ticket instead.

A ticket stands for a key, is drawn at random and forgotten when many others came after it. Who holds it sees what the
endpoint shows to that key, and nothing else.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict

from fastapi import APIRouter, Request
from fastapi.responses import Response

from deployments.page.endpoint_api import EndpointApi
from deployments.visits import error_response
from glyph_core.errors import GlyphError

NO_KEY = "open"
MAX_TICKETS = 4096
PASSED_ON = ("content-type", "etag", "cache-control")


class Tickets:
    def __init__(self) -> None:
        self._keys: OrderedDict[str, str] = OrderedDict()
        self._tickets: dict[str, str] = {}

    def ticket(self, key: str) -> str:
        if not key:
            return NO_KEY
        if key not in self._tickets:
            self._tickets[key] = secrets.token_urlsafe(24)
            self._keys[self._tickets[key]] = key
        ticket = self._tickets[key]
        self._keys.move_to_end(ticket)
        while len(self._keys) > MAX_TICKETS:
            _, dropped = self._keys.popitem(last=False)
            del self._tickets[dropped]
        return ticket

    def key(self, ticket: str) -> str:
        """Empty for one that is not known: the endpoint then says what it says without a key."""
        return self._keys.get(ticket, "")


def pictures_router(api: EndpointApi, tickets: Tickets) -> APIRouter:
    router = APIRouter(prefix="/pages")

    @router.get("/{ticket}/{file_id}/{number}.png")  # a name of its own, such as .., would lead elsewhere
    async def picture(request: Request, ticket: str, file_id: str, number: str) -> Response:
        etag = request.headers.get("if-none-match")
        try:
            found = await api.page_png(tickets.key(ticket), file_id, number, request.url.query, etag)
        except GlyphError as error:
            return error_response(error)
        headers = {header: found.headers[header] for header in PASSED_ON if header in found.headers}
        return Response(found.content, found.status_code, headers)

    return router
