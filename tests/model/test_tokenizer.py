"""Prompts as the checkpoints were trained on them, and text that never becomes a special token."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from glyph_core.errors import InvalidRequestError, ModelError
from glyph_core.model.checkpoint import BUILT_IN, Checkpoint, resolve_checkpoint
from glyph_core.model.tokenizer import Tokenizer
from tests.tiny_checkpoint import SPECIAL_IDS, SPECIAL_TOKENS, question_about

PAGE = "<|begin_of_image|><|image|><|end_of_image|>"
# In the style of GLM-4.1V's published template.
GLM_TEMPLATE = """[gMASK]<sop>
{%- for msg in messages %}
    {%- if msg.role == 'system' %}
<|system|>
{{ msg.content }}
    {%- elif msg.role == 'user' %}
<|user|>{{ '\\n' }}
        {%- if msg.content is string %}
{{ msg.content }}
        {%- else %}
            {%- for item in msg.content %}
                {%- if item.type == 'image' or 'image' in item %}
<|begin_of_image|><|image|><|end_of_image|>
                {%- elif item.type == 'text' %}
{{ item.text }}
                {%- endif %}
            {%- endfor %}
        {%- endif %}
    {%- elif msg.role == 'assistant' %}
<|assistant|>
{{ msg.content }}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}<|assistant|>
{% endif %}"""


@pytest.fixture(scope="module")
def mini() -> Tokenizer:
    return Tokenizer(resolve_checkpoint("glyph-mini"))


@pytest.fixture(scope="module")
def glm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer built as GLM-4.1V's: merges, GLM-4's splitting, and ``<think>`` added without being special."""
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(["Who is the landlord?\n\nThe landlord is the tenant's friend. " * 20], trainer)
    special = {"<think>", "</think>", "<answer>", "</answer>"}
    backend.add_special_tokens([token for token in SPECIAL_TOKENS if token not in special])
    backend.add_tokens([AddedToken(token, special=False, normalized=False) for token in sorted(special)])
    folder = tmp_path_factory.mktemp("glm")
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>").save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(GLM_TEMPLATE)
    return folder


def tokenizer_in(folder: Path) -> Tokenizer:
    return Tokenizer(Checkpoint(folder, "test", "glm4v", "glyph-en", 64, (0,)))


def user(text: str, num_pages: int = 0) -> dict[str, Any]:
    return question_about(num_pages, text)[0]


def test_a_question_stands_as_glyph_mini_was_trained(mini: Tokenizer) -> None:
    prompt = mini.apply_chat_template([user("What is the Rent?", num_pages=2)])
    assert prompt == f"[gMASK]<sop><|user|>\n{PAGE}{PAGE}What is the Rent?<|assistant|>\n"
    names = ["[gMASK]", "<sop>", "<|user|>", "\n", *["<|begin_of_image|>", "<|image|>", "<|end_of_image|>"] * 2]
    names += [*"What is the Rent?", "<|assistant|>", "\n"]
    assert mini.encode_chat([user("What is the Rent?", num_pages=2)]) == [
        SPECIAL_IDS[name] if name in SPECIAL_IDS else ord(name) for name in names
    ]


def test_system_messages_and_earlier_turns_are_kept(mini: Tokenizer) -> None:
    later = {"role": "user", "content": [{"type": "text", "text": "And the Tenant?"}, {"type": "image"}]}
    turns = [
        {"role": "system", "content": "Be brief."},
        user("Who is the Landlord?", num_pages=1),
        {"role": "assistant", "content": "Ada"},
        later,
    ]
    assert mini.apply_chat_template(turns) == (
        f"[gMASK]<sop><|system|>\nBe brief.<|user|>\n{PAGE}Who is the Landlord?<|assistant|>\nAda"
        f"<|user|>\n{PAGE}And the Tenant?<|assistant|>\n"
    )
    assert mini.encode_chat(turns)[: len(mini.encode_chat(turns[:2]))] == mini.encode_chat(turns[:2])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("WHAT IS THE DUE DATE?", "What is the due date?"),
        ("WHAT IS THE STATUS OF AB-1234?", "What is the status of AB-1234?"),
        ("What is the GDPR?", "What is the GDPR?"),
        ("谁签的？", "谁签的？"),
        ("1,200?", "1,200?"),
        ("<|ASSISTANT|>", "<|ASSISTANT|>"),
        ("|USER|>", "|USER|>"),  # behind a part that ends with "<"
    ],
)
def test_a_question_in_capitals_stands_in_small_letters(mini: Tokenizer, written: str, read: str) -> None:
    assert mini.apply_chat_template([{"role": "user", "content": written}]) == mini.apply_chat_template(
        [{"role": "user", "content": "x"}]
    ).replace("x", read)
    system = {"role": "system", "content": written}
    assert written in mini.apply_chat_template([system, {"role": "user", "content": "x"}])


def test_a_role_that_the_template_refuses(mini: Tokenizer) -> None:
    with pytest.raises(InvalidRequestError, match="the roles are system, user and assistant, not tool"):
        mini.apply_chat_template([{"role": "tool", "content": "42"}])


TURNS = [
    [user("Who is the landlord?")],
    [user("\n\n  The landlord's?\n", num_pages=2)],
    [{"role": "system", "content": " Be brief. "}, user("租金 123456 rent"), {"role": "assistant", "content": "the"}],
]


@pytest.mark.parametrize("turns", TURNS, ids=["plain", "pages", "turns"])
def test_ordinary_prompts_are_encoded_as_transformers_does(glm: Path, turns: list[dict[str, Any]]) -> None:
    theirs = AutoTokenizer.from_pretrained(glm)
    expected = theirs.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert tokenizer_in(glm).apply_chat_template(turns) == expected
    assert tokenizer_in(glm).encode_chat(turns) == theirs.encode(expected, add_special_tokens=False)


@pytest.mark.parametrize("mark", ["<|image|>", "<|user|>", "<think>", "<|<|user|>user|>"])
@pytest.mark.parametrize("folder", ["glm", "mini"])
def test_text_that_spells_a_special_token_stays_text(request: pytest.FixtureRequest, folder: str, mark: str) -> None:
    path: Path = request.getfixturevalue("glm") if folder == "glm" else BUILT_IN["glyph-mini"]
    tokenizer = tokenizer_in(path)
    honest = tokenizer.encode_chat([user("Who says X?", num_pages=1)])
    hostile = tokenizer.encode_chat([user(f"Who says {mark}?", num_pages=1)])
    special = {tokenizer.special_token_id(name) for name in SPECIAL_TOKENS}
    assert [token for token in hostile if token in special] == [token for token in honest if token in special]
    assert tokenizer.decode(hostile, skip_special=False) == tokenizer.apply_chat_template(
        [user(f"Who says {mark}?", num_pages=1)]
    )


def test_a_special_token_split_over_two_parts_stays_text(mini: Tokenizer) -> None:
    parts = [{"type": "text", "text": "<|us"}, {"type": "text", "text": "er|>"}]
    assert mini.encode_chat([{"role": "user", "content": parts}]).count(SPECIAL_IDS["<|user|>"]) == 1


def test_a_hostile_text_does_not_change_how_its_neighbours_are_encoded(glm: Path) -> None:
    """Both ways of encoding a prompt must agree wherever both apply: here on all turns but the hostile one."""
    tokenizer = tokenizer_in(glm)
    assistant = tokenizer.special_token_id("<|assistant|>")
    honest = tokenizer.encode_chat([user("x"), {"role": "assistant", "content": "\n\nthe landlord's\n"}, user("?")])
    hostile = tokenizer.encode_chat(
        [user("<sop>"), {"role": "assistant", "content": "\n\nthe landlord's\n"}, user("?")]
    )
    assert honest[honest.index(assistant) :] == hostile[hostile.index(assistant) :]


def test_encode_takes_everything_as_text(mini: Tokenizer) -> None:
    assert mini.encode("a<sop>é") == [*b"a<sop>", 0xC3, 0xA9]
    assert mini.encode("") == []


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_text_survives(mini: Tokenizer, text: str) -> None:
    assert mini.decode(mini.encode(text)) == text


@settings(max_examples=200, deadline=None)
@given(text=st.lists(st.sampled_from(["<|", "<", "|>", "user", "|", "image", *SPECIAL_TOKENS, "x", "\n"])).map("".join))
def test_no_text_makes_a_special_token(mini: Tokenizer, text: str) -> None:
    empty = mini.encode_chat([user("", num_pages=1)])
    token_ids = mini.encode_chat([user(text, num_pages=1)])
    assert [token for token in token_ids if token > 255] == [token for token in empty if token > 255]
    assert mini.decode(token_ids, skip_special=False) == mini.apply_chat_template([user(text, num_pages=1)])


def test_half_a_character_is_refused(mini: Tokenizer) -> None:
    with pytest.raises(InvalidRequestError, match="half of a surrogate pair"):
        mini.encode_chat([user("What is \ud83d?")])


def test_decoding(mini: Tokenizer) -> None:
    ids = [SPECIAL_IDS["<think>"], *b"yes", SPECIAL_IDS["<|endoftext|>"]]
    assert mini.decode(ids) == "yes"
    assert mini.decode(ids, skip_special=False) == "<think>yes<|endoftext|>"
    assert mini.decode([0xC3]) == "\ufffd"
    assert mini.decode([]) == ""


def test_special_tokens_by_name(mini: Tokenizer, glm: Path) -> None:
    assert mini.special_token_id("<think>") == SPECIAL_IDS["<think>"]
    assert mini.special_token_id("<|begin_of_box|>") is None
    assert mini.special_token_id("a") is None
    assert tokenizer_in(glm).special_token_id("<think>") is not None


def test_a_folder_without_tokenizer_or_template(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the tokenizer in .* cannot be loaded"):
        tokenizer_in(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BUILT_IN["glyph-mini"] / name, tmp_path)
    with pytest.raises(ModelError, match="has no chat template"):
        tokenizer_in(tmp_path)
