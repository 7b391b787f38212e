"""What a text is written in, for its colours alone: that it is text, and read, its bytes have said already."""

from __future__ import annotations

import re
from pathlib import PurePath

from glyph_core.types import digest_of

# By pygments' names. Suffixes that more than one language has are left out.
_SUFFIXES = {
    ".bash": "bash",
    ".c": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".cs": "csharp",
    ".css": "css",
    ".go": "go",
    ".hpp": "cpp",
    ".java": "java",
    ".js": "javascript",
    ".json": "json",
    ".kt": "kotlin",
    ".lua": "lua",
    ".mjs": "javascript",
    ".php": "php",
    ".py": "python",
    ".pyi": "python",
    ".r": "r",
    ".rb": "ruby",
    ".rs": "rust",
    ".scala": "scala",
    ".sh": "bash",
    ".sql": "sql",
    ".swift": "swift",
    ".toml": "toml",
    ".ts": "typescript",
    ".tsx": "tsx",
    ".xml": "xml",
    ".yaml": "yaml",
    ".yml": "yaml",
}
_INTERPRETER = re.compile(r"#!\s*\S*/(?:env\s+(?:-\S+\s+)?)?(python|bash|sh|zsh|node|perl|ruby|lua|Rscript)[\d.]*\b")
_NAMES = {"sh": "bash", "zsh": "bash", "node": "javascript", "Rscript": "r"}


def language_of(name: str, text: str) -> str:
    """What ``text`` is written in, as its first line or else the suffix of its ``name`` hints; empty for prose."""
    match = _INTERPRETER.match(text)
    if match:
        return _NAMES.get(match[1], match[1])
    return language_named(name)


def language_named(name: str) -> str:
    """What the suffix of a document's ``name`` hints; empty for prose."""
    return _SUFFIXES.get(PurePath(name).suffix.lower(), "")


def drawn_digest(name: str, digest: str) -> str:
    """Names what a document's pages are made of: its bytes (``digest``), and what its name says that they are, since
    code is set in cells and may have colours."""
    language = language_named(name)
    return digest_of(digest.encode(), language.encode()) if language else digest
