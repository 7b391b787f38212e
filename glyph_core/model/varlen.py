"""``torch.nn.attention.varlen.varlen_attn``, FlashAttention over sequences laid end to end, as each release has it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def varlen_function() -> tuple[Callable[..., Any], dict[str, bool]]:
    """The function, and what this release of PyTorch has to be told: 2.11 takes fewer key/value heads as they are,
    2.12 and later want ``enable_gqa``. Raises ImportError where there is none."""
    from torch.nn.attention.varlen import varlen_attn

    takes_gqa = "enable_gqa" in inspect.signature(varlen_attn).parameters
    return varlen_attn, {"enable_gqa": True} if takes_gqa else {}
