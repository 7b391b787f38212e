"""What stands before the items of HTML's lists."""

from __future__ import annotations

from dataclasses import dataclass

from selectolax.lexbor import LexborNode

from glyph_core.documents import numerals

BULLETS = "•◦▪"  # of a list, of one in it, and of all deeper ones


@dataclass(slots=True)
class OpenList:
    """A list whose items are being read."""

    is_ordered: bool
    number: int  # of the next item
    style: str  # "1", "a", "A", "i" or "I"

    @classmethod
    def of(cls, node: LexborNode) -> OpenList:
        start = node.attributes.get("start") or ""
        number = numerals.whole_number(start.removeprefix("-"))
        sign = -1 if start.startswith("-") else 1
        return cls(node.tag == "ol", 1 if number is None else sign * number, node.attributes.get("type") or "1")

    def marker(self, item: LexborNode, depth: int) -> str:
        """What stands before ``item``, the next one, in a list ``depth`` deep (from 1)."""
        if not self.is_ordered:
            return BULLETS[min(depth, len(BULLETS)) - 1]
        value = numerals.whole_number(item.attributes.get("value") or "")
        number = self.number if value is None else value
        self.number = number + 1
        write = {"a": numerals.letters, "i": numerals.roman}.get(self.style.lower(), str)
        return f"{write(number).upper() if self.style.isupper() else write(number)}."
