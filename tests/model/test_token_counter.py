"""Counting with a real vocabulary, estimating for a byte-level one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import BUILT_IN
from glyph_core.model.token_counter import TokenCount, TokenCounter, estimate_num_tokens

ENGLISH = "The tenant pays the rent on the first day of each month, and not later than the fifth. "


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BPE tokenizer of 600 entries that cuts and pads what it is given, as some published ones do."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [f"{a}{b}{c}" for a in "bcdfghjklmnprstvw" for b in "aeiou" for c in "dgklmnprst"]
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([ENGLISH, *words], trainer)
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    folder = tmp_path_factory.mktemp("trained")
    tokenizer.save(str(folder / "tokenizer.json"))
    assert tokenizer.get_vocab_size() > 512
    return folder


def test_a_real_vocabulary_is_counted(trained: Path) -> None:
    counter = TokenCounter.from_checkpoint(trained)
    tokenizer = Tokenizer.from_file(str(trained / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text = ENGLISH * 50
    assert counter.count(text) == TokenCount(len(tokenizer.encode(text).ids), estimated=False)
    assert counter.count("") == TokenCount(0, estimated=False)


def test_a_byte_level_vocabulary_is_estimated(folder: Path) -> None:
    for path in (folder, BUILT_IN["glyph-mini"]):
        counter = TokenCounter.from_checkpoint(path)
        assert counter.count(ENGLISH) == TokenCount(22, estimated=True)  # 87 characters at 4 a token
        assert counter.count("") == TokenCount(0, estimated=True)


@pytest.mark.parametrize(
    ("text", "num_tokens"),
    [
        ("word", 1), ("words", 2), ("Ärger", 2), ("\n\t  ", 1),
        ("十六个汉字就是十个词元用来数一数", 10), ("合同", 2), ("こんにちは、世界", 5), ("안녕하세요", 4),
        ("𠮷野家", 2), ("租金 rent", 3), ("\ud800", 1), ("😀😀😀😀", 1),
    ],
)  # fmt: skip
def test_the_estimate_is_as_documented(text: str, num_tokens: int) -> None:
    """4 characters a token, 1.6 in Chinese, Japanese and Korean; rounded up once, over the whole text."""
    assert estimate_num_tokens(text) == num_tokens


@given(st.text(), st.text())
def test_the_estimate_of_a_whole_is_that_of_its_parts(left: str, right: str) -> None:
    whole, parts = estimate_num_tokens(left + right), estimate_num_tokens(left) + estimate_num_tokens(right)
    assert whole <= parts <= whole + 1


def test_the_estimate_on_real_books(shared_data: Path) -> None:
    """English books must not come out as anything but about 4 characters a token."""
    for path in sorted((shared_data / "long_text").glob("*.txt")):
        text = path.read_text(encoding="utf-8-sig")
        assert 1.5 < len(text) / estimate_num_tokens(text) <= 4.0, path.name


def test_a_missing_or_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        TokenCounter.from_checkpoint(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json is no tokenizer"):
        TokenCounter.from_checkpoint(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xff")
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        TokenCounter.from_checkpoint(tmp_path)
