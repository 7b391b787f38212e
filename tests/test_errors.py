"""The error tree: what its docstring draws is what it is, and every error crosses a process boundary whole."""

from __future__ import annotations

import pickle
import re

import pytest

from glyph_core import errors
from glyph_core.errors import GlyphError

DRAWN_LINE = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+Error)\s+(?P<status>\d{3})\b")
INDENT_COLUMNS = 4  # "├── "


def subclasses(root: type[GlyphError]) -> list[type[GlyphError]]:
    return [root, *(below for child in root.__subclasses__() for below in subclasses(child))]


def drawn_tree() -> dict[str, tuple[str | None, int]]:
    """Name → (parent's name, status) as the module's docstring draws them."""
    tree: dict[str, tuple[str | None, int]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := DRAWN_LINE.match(line):
            depth = len(match["indent"]) // INDENT_COLUMNS
            path[depth:] = [match["name"]]
            tree[match["name"]] = (path[depth - 1] if depth else None, int(match["status"]))
    return tree


def is_of_this_module(error: type[GlyphError]) -> bool:
    return error.__module__ == errors.__name__


ALL = [error for error in subclasses(GlyphError) if is_of_this_module(error)]


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        error.__name__: (error.__bases__[0].__name__ if error is not GlyphError else None, error.status)
        for error in ALL
    }
    assert drawn_tree() == real


def test_every_error_of_the_module_belongs_to_the_tree() -> None:
    defined = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == errors.__name__
    }
    assert defined == set(ALL)


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_pickle_keeps_message_and_param(error: type[GlyphError]) -> None:
    original = error("page 3 is damaged; send it again", param="messages[0].content")
    copy = pickle.loads(pickle.dumps(original))
    assert type(copy) is error
    assert (copy.message, copy.param, copy.status, copy.code) == (
        original.message,
        "messages[0].content",
        error.status,
        error.code,
    )
    assert str(copy) == original.message


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_who_is_at_fault_shows_in_the_status(error: type[GlyphError]) -> None:
    at_fault_is_client = issubclass(
        error, (errors.InvalidInputError, errors.AuthenticationError, errors.ForbiddenError, errors.OverloadedError)
    )
    assert (400 <= error.status < 500) == at_fault_is_client


def test_when_to_ask_again_crosses_processes() -> None:
    limit = pickle.loads(pickle.dumps(errors.RateLimitError("slowly", retry_after_s=12.5)))
    assert (limit.retry_after_s, errors.OverloadedError("full").retry_after_s) == (12.5, 1.0)
    assert errors.InvalidRequestError("no").retry_after_s is None


def test_codes_tell_every_error_apart() -> None:
    codes = [error.code for error in ALL]
    assert len(set(codes)) == len(codes)
