"""The way from a command to an endpoint: address, key, proxies, and the endpoint's errors as our own."""

from __future__ import annotations

import base64
import os
from typing import Any

import httpx

from deployments.access import LOOPBACK_HOSTS
from deployments.openai_answers import Json
from glyph_core.errors import GlyphError, InvalidRequestError, StageError

CONNECT_TIMEOUT_S = 10.0  # an answer itself may take as long as it takes
KEY_VARIABLE = "GLYPH_API_KEY"  # no option: that would show the key to every user of the machine


def root_of(url: str) -> str:
    """An endpoint's root, where it was given with or without /v1, and with or without http://."""
    return (url if "://" in url else f"http://{url}").rstrip("/").removesuffix("/v1")


def endpoint_client(base_url: str) -> httpx.Client:
    return httpx.Client(base_url=base_url, timeout=_timeout(), trust_env=_may_use_proxy(base_url), headers=_headers())


def async_endpoint_client(base_url: str, *, send_own_key: bool = True) -> httpx.AsyncClient:
    """One that holds as many connections as it is asked for; without ``send_own_key`` each call brings its key."""
    limits = httpx.Limits(max_connections=None)
    trust_env = _may_use_proxy(base_url)
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=_timeout(),
        trust_env=trust_env,
        headers=_headers() if send_own_key else {},
        limits=limits,
    )


def _timeout() -> httpx.Timeout:
    return httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)


def _may_use_proxy(base_url: str) -> bool:
    return httpx.URL(base_url).host not in LOOPBACK_HOSTS  # no proxy reaches our own machine


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY_VARIABLE)
    return {"Authorization": f"Bearer {key}"} if key else {}


def unreachable(url: str, error: Exception) -> GlyphError:
    """What to raise where the endpoint at ``url`` did not answer, or cannot be an endpoint at all."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return InvalidRequestError(
            f"{url} is no address of an endpoint; give one such as http://127.0.0.1:7860", param="url"
        )
    return StageError(f"no answer from {url}: {error}; is `glyph serve` running there?")


def file_json(name: str, content: bytes) -> Json:
    """A document as OpenAI's file object, which carries it in base64."""
    return {"filename": name, "file_data": base64.b64encode(content).decode()}


def raise_for_error(response: httpx.Response) -> None:
    """Raises the endpoint's own error, and StageError where it is none of ours."""
    if response.is_success:
        return
    response.read()
    error = error_in(response)
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise type(error)(f"{error.message} ({KEY_VARIABLE} holds the key that this command sends)")
    raise error


def error_in(response: httpx.Response) -> GlyphError:
    """The endpoint's own error, of a response that was read and is none of success. Raises StageError where it is none
    of ours."""
    match _json_in(response):
        case {"error": {"message": str()} as error}:
            return error_of(error)
    raise not_ours(response)


def reply_in(response: httpx.Response) -> Json:
    """What the endpoint says. Raises its own error, and StageError where it is none of ours."""
    raise_for_error(response)
    match _json_in(response):
        case dict(reply):
            return reply
    raise not_ours(response)


def served_model(models: httpx.Response) -> str:
    """The name of the model in what /v1/models said. Raises as :func:`reply_in` does."""
    match reply_in(models):
        case {"data": [{"id": str(name)}, *_]}:
            return name
    raise not_ours(models)


def not_ours(response: httpx.Response) -> StageError:
    return StageError(
        f"{response.url} answered {response.status_code} {response.reason_phrase}, which is no Glyph Serve endpoint"
    )


def _json_in(response: httpx.Response) -> Any:
    """None for what is no JSON."""
    try:
        return response.json()
    except ValueError:
        return None


def error_of(error: Json) -> GlyphError:
    """The error of our tree that an endpoint's error object stands for."""
    return _class_of(str(error.get("code")))(str(error["message"]), param=error.get("param"))


def _class_of(code: str, root: type[GlyphError] = GlyphError) -> type[GlyphError]:
    found = [_class_of(code, child) for child in root.__subclasses__()]
    return next((error for error in found if error.code == code), root)
