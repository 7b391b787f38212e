"""Compiled loops: numba with the GIL released and the machine code kept on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])
_log = logging.getLogger(__name__)


def kernel(function: _Function) -> _Function:
    """Compile ``function`` at its first call, for the types that it then gets.

    The code is cached beside the source file, or in the user's cache folder where that is read-only. Where no folder
    at all can be written numba refuses to make a caching function: then each process compiles for itself. Divisions
    follow numpy's rules, which cost no check for zero.
    """
    try:
        return cast(_Function, njit(nogil=True, cache=True, error_model="numpy")(function))
    except RuntimeError as error:
        _log.warning("compiled code of %s cannot be cached: %s", function.__name__, error)
        return cast(_Function, njit(nogil=True, error_model="numpy")(function))
