"""Which contents of KV blocks are kept for pinned documents, within their share of the pool.

A pin names pages. Whatever block a prompt needs for them (those before them in the prompt, too: without those they
cannot be found) is kept from its first computation or use on, up to the number of blocks that the pin was given.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from glyph_core.engine.sequence import Sequence
from glyph_core.errors import PinnedShareError


@dataclass(slots=True)
class Pin:
    pages: frozenset[str]  # digests
    max_blocks: int
    contents: set[bytes] = field(default_factory=set)  # hashes of cached blocks


class Pins:
    """Knows contents, not blocks: the block manager tells it which are computed, used and forgotten."""

    def __init__(self, max_blocks: int) -> None:
        self.max_blocks = max_blocks  # of all pins together
        self._pins: dict[str, Pin] = {}

    def __contains__(self, content: bytes | None) -> bool:
        return any(content in pin.contents for pin in self._pins.values())

    def __len__(self) -> int:
        return len(self._pins)

    @property
    def names(self) -> list[str]:
        return list(self._pins)

    @property
    def num_blocks_given(self) -> int:
        return sum(pin.max_blocks for pin in self._pins.values())

    def add(self, name: str, pages: Iterable[str], max_blocks: int) -> None:
        """Pins ``pages``; a pin of this name that is there already takes them in. Raises PinnedShareError where that is
        more than the share."""
        known = self._pins.get(name)
        given = self.num_blocks_given - (known.max_blocks if known else 0)
        wanted = max(max_blocks, known.max_blocks if known else 0)
        if given + wanted > self.max_blocks:
            raise PinnedShareError(
                f"pinned documents may hold {self.max_blocks} KV blocks; {len(self._pins)} of them have {given}, and "
                f"this one needs {wanted}: unpin another, pin a shorter one, or raise engine.pinned_share",
                param="glyph.pin",
            )
        self._pins[name] = Pin(frozenset(pages) | (known.pages if known else frozenset()), wanted)
        if known:
            self._pins[name].contents = known.contents

    def remove(self, name: str) -> list[bytes]:
        """What no pin keeps any more; nothing for a name that is not there."""
        pin = self._pins.pop(name, None)
        return [content for content in pin.contents if content not in self] if pin else []

    def note(self, sequence: Sequence, first_token: int, content: bytes) -> None:
        """The block of ``sequence`` that begins with ``first_token`` is cached as ``content``."""
        for pin in self._pins.values():
            if len(pin.contents) < pin.max_blocks and first_token < _stop(sequence, pin.pages):
                pin.contents.add(content)

    def are_known_in(self, contents: Container[bytes]) -> bool:
        """Whether all that is kept is among ``contents``, and no more than may be."""
        kept = self._pins.values()
        return all(c in contents for pin in kept for c in pin.contents) and all(
            len(pin.contents) <= pin.max_blocks for pin in kept
        )

    def forget(self, content: bytes) -> None:
        """It is evicted."""
        for pin in self._pins.values():
            pin.contents.discard(content)


def _stop(sequence: Sequence, pages: frozenset[str]) -> int:
    """Where the last of ``pages`` ends in the prompt; 0 where it shows none."""
    return next((shown.stop for shown in reversed(sequence.prompt.pages) if shown.page.digest in pages), 0)
