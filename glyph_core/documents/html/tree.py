"""What of an HTML tree is seen, and in which order. Runs in a worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from selectolax.lexbor import LexborNode

_UNSEEN_TAGS = """
    head script style template noscript iframe object embed audio video canvas datalist title desc metadata annotation
    annotation-xml rp
"""
_UNSEEN = frozenset(_UNSEEN_TAGS.split())
_HIDDEN_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))", re.IGNORECASE)
_DRAWN_TWICE = "katex-html"  # KaTeX writes a formula as MathML and once more as boxes


class Step(Enum):
    ENTER = 1
    LEAVE = 2
    TEXT = 3


def steps(root: LexborNode) -> Iterator[tuple[Step, LexborNode]]:
    """The seen nodes below and with ``root``, in document order; without recursion, as hostile trees are deep."""
    stack = [(root, False)]
    while stack:
        node, is_left = stack.pop()
        if is_left:
            yield Step.LEAVE, node
        elif node.is_text_node:
            yield Step.TEXT, node
        elif node.is_element_node and is_seen(node):
            yield Step.ENTER, node
            stack.append((node, True))
            if node.tag != "math":  # taken as a whole
                child = node.last_child
                while child is not None:
                    stack.append((child, False))
                    child = child.prev


def is_seen(node: LexborNode) -> bool:
    """Whether a browser would show ``node``, as far as it itself says."""
    if node.tag in _UNSEEN:
        return False
    attributes = node.attributes
    if not attributes:
        return True
    if "hidden" in attributes or (node.tag == "input" and attributes.get("type") == "hidden"):
        return False
    if _DRAWN_TWICE in (attributes.get("class") or "").split():
        return False
    return not _HIDDEN_STYLE.search(attributes.get("style") or "")


def layout_tables(root: LexborNode) -> set[int]:
    """``mem_id`` of the tables that hold other tables: they arrange a page, and are read cell by cell."""
    found: set[int] = set()
    open_tables: list[int] = []
    for step, node in steps(root):
        if node.tag != "table" or step is Step.TEXT:
            continue
        if step is Step.ENTER:
            found.update(open_tables)
            open_tables.append(node.mem_id)
        else:
            open_tables.pop()
    return found
