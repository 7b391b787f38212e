"""Which pages a question finds: the right ones, in English and in Chinese."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from glyph_core.config import StoreConfig
from glyph_core.storage.files import FileStore
from glyph_core.storage.page_index import PageIndex
from glyph_core.storage.words import index_words, terms_of
from tests.storage.attached import attached

RENDER = "abc123"


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("What is the governing law?", ["governing", "law"]),
        ("Who signed INV-2024/001 in May?", ["signed", "INV 2024 001", "INV", "2024", "001", "May"]),
        ("合同的甲方是谁？", ["合 同", "甲 方"]),
        ("请问违约金是多少", ["违 约", "约 金"]),
        ("什么是API密钥", ["API", "密 钥"]),
        ("钱", ["钱"]),
        ("１２３４元", ["1234", "元"]),
        ("계약 기간", ["계 약", "기 간"]),
        ('"quoted" OR * NEAR(a)', ["quoted", "NEAR"]),
    ],
)  # fmt: skip
def test_what_a_question_looks_for(question: str, terms: list[str]) -> None:
    assert terms_of(question) == [f'"{term}"' for term in terms]


@pytest.mark.parametrize("question", ["", "What is it?", "是什么？", "… !", "the"])
def test_a_question_may_hold_nothing_to_find(question: str) -> None:
    assert terms_of(question) == []


def test_words_of_unspaced_scripts_stand_apart() -> None:
    assert index_words("甲方ABC公司 x").split() == ["甲", "方", "ABC", "公", "司", "x"]


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(StoreConfig(path=str(tmp_path)))


def indexed(files: FileStore, documents: Sequence[Sequence[str]]) -> tuple[PageIndex, list[str]]:
    """An index of documents, each of so many pages, and the documents' digests."""
    index = PageIndex(files, RENDER)
    digests = []
    for number, pages in enumerate(documents):
        content = f"{number}".encode()
        file = files.add("ana", f"{number}.txt", "user_data", io.BytesIO(content), len(content))
        attached(files, RENDER, file.id)
        claim = index.claim()
        assert claim is not None
        assert claim.digest == file.digest
        index.complete(claim, pages)
        digests.append(file.digest)
    return index, digests


def test_pages_are_found_among_the_named_documents_only(files: FileStore) -> None:
    index, digests = indexed(files, [["the fee is 400 crowns", "the term"], ["a fee for all", "payment of fees"]])
    found = index.search(digests, "What is the fee in crowns?", 9)
    assert (found[0].digest, found[0].page_index) == (digests[0], 0)
    assert {(hit.digest, hit.page_index) for hit in found} == {(digests[0], 0), (digests[1], 0), (digests[1], 1)}
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert found[0].score == 1
    assert all(0 < hit.score < 1 for hit in found[1:])
    assert [hit.text for hit in index.search(digests[1:], "payments", 9)] == ["payment of fees"]
    assert index.search([], "fee", 9) == []
    assert index.search(digests, "crowns", 9, frozenset({(digests[0], 0)})) == []
    assert len(index.search(digests, "fee", 1, frozenset({(digests[0], 0)}))) == 1
    assert PageIndex(files, "other").search(digests, "fee", 9) == []


def test_words_that_most_pages_hold_have_a_score_all_the_same(files: FileStore) -> None:
    pages = [f"the fee of party {number}, and what else there is to say about the fee" for number in range(8)]
    index, digests = indexed(files, [[*pages, "the fee " * 6]])
    found = index.search(digests, "What is the fee?", 9)
    assert found[0].page_index == 8
    assert found[0].score == 1
    assert all(0.2 < hit.score < 1 for hit in found[1:])
    assert index.search(digests, "the fee of the penguin", 1)[0].score == 0.5


def test_what_is_deleted_is_found_no_more(files: FileStore) -> None:
    index, digests = indexed(files, [["the fee"], ["the fee"]])
    first = next(file for file in files.list_after("ana", limit=9)[0] if file.digest == digests[0])
    files.delete("ana", first.id)
    assert [hit.digest for hit in index.search(digests, "fee", 9)] == [digests[1]]
    assert index.pages_of(digests[0]) == []
    connection = files.database.connection()
    assert connection.execute("SELECT count(*) FROM page_words").fetchone()[0] == 1


def squad(path: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """Paragraphs, and questions with the number of the paragraph that answers them."""
    paragraphs, questions = [], []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            questions += [(qa["question"], len(paragraphs)) for qa in paragraph["qas"]]
            paragraphs.append(paragraph["context"])
    return paragraphs, questions


@pytest.mark.parametrize(
    ("name", "at_first", "among_four"),
    [
        ("xquad.en.dev.json", 0.93, 0.985),
        ("xquad.zh.dev.json", 0.93, 0.985),
        ("cmrc2018_trial.squad.json", 0.93, 0.985),
    ],
)
def test_real_questions_find_their_paragraph(
    files: FileStore, shared_data: Path, name: str, at_first: float, among_four: float
) -> None:
    paragraphs, questions = squad(shared_data / "qa" / name)
    index, digests = indexed(files, [paragraphs])
    ranks = []
    for question, number in questions:
        found = [hit.page_index for hit in index.search(digests, question, 4)]
        ranks.append(found.index(number) if number in found else 9)
    assert sum(rank == 0 for rank in ranks) >= at_first * len(ranks)
    assert sum(rank < 4 for rank in ranks) >= among_four * len(ranks)


def test_chinese_books_are_searched(files: FileStore, shared_data: Path) -> None:
    folder = shared_data / "long_text"
    books = {name: (folder / name).read_text(encoding="utf-8") for name in ("合同编.md", "刑法.md", "三国演义.txt")}
    cut = {name: [text[i : i + 1200] for i in range(0, len(text), 1200)] for name, text in books.items()}
    index, digests = indexed(files, list(cut.values()))
    asked = {
        "定金的数额不得超过主合同标的额的百分之多少？": (0, "百分之二十"),
        "拾得遗失物拒不交出怎么处罚？": (1, "拒不交出"),
        "曹操败走华容道时遇见谁？": (2, "华容"),
    }
    for question, (book, expected) in asked.items():
        hits = index.search(digests, question, 4)
        assert any(hit.digest == digests[book] and expected in hit.text for hit in hits), question
