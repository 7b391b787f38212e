"""Names for the contents of KV blocks, so that prompts which begin alike can share them.

A block's keys and values follow from every token up to its end and, where a token stands for a piece of a page, from
that page's pixels. All placeholder tokens have one id, so a hash over token ids alone would take one document for
another of the same length; hence the page's digest, grid and the offset within the page go in too.
"""

from __future__ import annotations

import struct
from array import array
from hashlib import blake2b

from glyph_core.engine.sequence import Sequence
from glyph_core.types import DIGEST_BYTES

ROOT = bytes(DIGEST_BYTES)  # stands for the hash of the block before the first


def block_hash(parent: bytes, sequence: Sequence, start: int, stop: int) -> bytes:
    """128-bit blake2b of tokens ``[start, stop)`` of ``sequence``, chained to the hash of the block before.

    Every part has a fixed length or is preceded by its length, so that no two contents are written alike.
    """
    content = blake2b(parent, digest_size=DIGEST_BYTES)
    content.update(array("q", sequence.token_ids[start:stop]).tobytes())
    pages = sequence.prompt.pages
    for number in range(sequence.first_page_after(start), len(pages)):
        page = pages[number]
        if page.start >= stop:
            break
        first = max(page.start, start)
        digest = page.page.digest.encode()
        content.update(struct.pack("<6q", first - start, first - page.start, *page.grid_thw, len(digest)))
        content.update(digest)
    return content.digest()
