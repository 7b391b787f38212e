"""The full-text index: which page of which content holds which words. Filled in the background, by whoever comes first.

A content that waits is claimed by one gateway for a while, which reads it page by page and prolongs its claim; when it
is killed the claim lapses and another goes on. All pages of a content become findable in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from glyph_core.storage.files import FileStore
from glyph_core.storage.words import index_words, terms_of

CLAIM_S = 60.0
MAX_ATTEMPTS = 3
LEAST_WEIGHT = 1e-9


@dataclass(frozen=True, slots=True)
class Claim:
    key: int
    digest: str
    name: str  # that one of its files has
    is_last: bool  # there will be no further attempt


@dataclass(frozen=True, slots=True)
class PageHit:
    digest: str
    page_index: int
    text: str
    score: float  # in (0, 1], see PageIndex.search


class PageIndex:
    """``render`` is the digest of the configuration whose pages are indexed. Methods block on disk."""

    def __init__(self, files: FileStore, render: str) -> None:
        self._database, self._clock, self._render = files.database, files.clock, render

    def enqueue_members(self) -> None:
        """All files of all collections, where their pages under this configuration are not known yet."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO texts (digest, render) SELECT digest, ? FROM members JOIN files USING (id)",
                (self._render,),
            )

    def claim(self) -> Claim | None:
        """A content that waits for its reader, if there is one."""
        now = self._clock()
        with self._database.writing() as connection:
            row = connection.execute(
                "SELECT texts.*, files.name FROM texts JOIN files USING (digest)"
                " WHERE render = ? AND status = 'in_progress' AND claimed_until <= ? ORDER BY key LIMIT 1",
                (self._render, now),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE texts SET claimed_until = ?, num_attempts = num_attempts + 1 WHERE key = ?",
                (now + CLAIM_S, row["key"]),
            )
        return Claim(row["key"], row["digest"], row["name"], row["num_attempts"] + 1 >= MAX_ATTEMPTS)

    def prolong(self, claim: Claim) -> None:
        with self._database.writing() as connection:
            until = self._clock() + CLAIM_S
            connection.execute("UPDATE texts SET claimed_until = ? WHERE key = ?", (until, claim.key))

    def complete(self, claim: Claim, pages: Sequence[str]) -> None:
        """``pages``: the text of each, in order. Nothing happens where the content is gone by now."""
        words = [index_words(text) for text in pages]
        with self._database.writing() as connection:
            updated = connection.execute(
                "UPDATE texts SET status = 'completed', error_code = NULL, error_message = NULL WHERE key = ?",
                (claim.key,),
            )
            if not updated.rowcount:
                return
            connection.execute("DELETE FROM pages WHERE text_key = ?", (claim.key,))
            for index, text in enumerate(pages):
                row = (claim.key, index, text)
                page = connection.execute("INSERT INTO pages (text_key, page_index, text) VALUES (?, ?, ?)", row)
                connection.execute(
                    "INSERT INTO page_words (rowid, words) VALUES (?, ?)", (page.lastrowid, words[index])
                )

    def fail(self, claim: Claim, code: str, message: str) -> None:
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE texts SET status = 'failed', error_code = ?, error_message = ? WHERE key = ?",
                (code, message, claim.key),
            )

    def give_back(self, claim: Claim) -> None:
        """To be tried again, by anybody."""
        with self._database.writing() as connection:
            connection.execute("UPDATE texts SET claimed_until = 0 WHERE key = ?", (claim.key,))

    def pages_of(self, digest: str) -> list[str]:
        """The texts of a content's pages; none where they are not known."""
        statement = (
            "SELECT pages.text FROM pages JOIN texts ON texts.key = text_key WHERE digest = ? AND render = ?"
            " ORDER BY page_index"
        )
        rows = self._database.connection().execute(statement, (digest, self._render)).fetchall()
        return [row["text"] for row in rows]

    def search(
        self, digests: Iterable[str], question: str, limit: int, without: frozenset[tuple[str, int]] = frozenset()
    ) -> list[PageHit]:
        """The pages of these contents that hold most of what is asked, by BM25, the best first; not those that are
        named by digest and index in ``without``.

        The best page's score is the share of the question's words that it holds; the others' go down from there as
        their BM25 does. BM25 itself has no upper end, and is next to nothing for words that most pages hold.
        """
        terms = terms_of(question)
        if not terms:
            return []
        statement = (
            "SELECT digest, page_index, pages.text, page_words.rowid AS key, -bm25(page_words) AS weight"
            " FROM page_words"
            " JOIN pages ON pages.key = page_words.rowid JOIN texts ON texts.key = text_key"
            " WHERE page_words MATCH ? AND render = ? AND digest IN (SELECT value FROM json_each(?))"
            " ORDER BY weight DESC, digest, page_index LIMIT ?"
        )
        values = (" OR ".join(terms), self._render, json.dumps(list(digests)), limit + len(without))
        rows = self._database.connection().execute(statement, values).fetchall()
        if not rows:
            return []
        share, most = self._share(terms, rows[0]["key"]), max(rows[0]["weight"], LEAST_WEIGHT)
        hits = [
            PageHit(row["digest"], row["page_index"], row["text"], share * max(row["weight"], LEAST_WEIGHT) / most)
            for row in rows
            if (row["digest"], row["page_index"]) not in without
        ]
        return hits[:limit]

    def _share(self, terms: Sequence[str], page_key: int) -> float:
        """Of ``terms``, how many stand on a page."""
        statement = "SELECT count(*) FROM page_words WHERE page_words MATCH ? AND rowid = ?"
        connection = self._database.connection()
        num_held = sum(int(connection.execute(statement, (term, page_key)).fetchone()[0]) for term in terms)
        return num_held / len(terms)
