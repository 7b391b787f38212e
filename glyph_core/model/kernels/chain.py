"""Kernels that follow one another closely: programmatic dependent launch, where the GPU has it (sm_90 on).

The next kernel's programs start while the last of this one's still run, and wait only before they read what it wrote:
a decode step is some 350 kernels of a few microseconds, and each start would cost one. Every kernel of a chain calls
:func:`begin` before it reads what another kernel may have written, and before it writes anything.
"""

from __future__ import annotations

import os
from functools import lru_cache

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

FIRST_CAPABILITY = (9, 0)


@triton.jit
def begin(CHAINED: tl.constexpr):
    """Lets the next kernel start, then waits for all that the kernels before have written."""
    if CHAINED:
        gdc_launch_dependents()
        gdc_wait()


@triton.jit
def fetch(at):
    """Brings the cache lines that the pointers ``at`` lie in to the L2 cache: what no kernel of the chain writes, asked
    for before :func:`begin`, comes while those before still run."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;", "=r,l", [at.to(tl.int64)], tl.int32, is_pure=False, pack=1
    )


@lru_cache(maxsize=1)
def chained() -> dict[str, bool]:
    """Arguments for launching a kernel that calls :func:`begin`."""
    if os.environ.get("TRITON_INTERPRET") == "1" or not torch.cuda.is_available():
        return {}
    return {"CHAINED": True, "launch_pdl": True} if torch.cuda.get_device_capability() >= FIRST_CAPABILITY else {}
