"""Pages of several documents stand behind labels, where the checkpoint was trained with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from glyph_core.answering.inquiry import Account, Inquiry
from glyph_core.answering.prompts import build_prompt
from glyph_core.answering.reader import Reader
from glyph_core.config import SamplingConfig, preset
from glyph_core.model.checkpoint import read_checkpoint
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentPlan, DocumentSource, Message
from tests.tiny_checkpoint import make_tiny_glm4v

CONFIG = preset("mini")
MESSAGES = (Message("user", "What differs?", (0, 1)),)


@pytest.fixture(scope="module")
def plans() -> list[DocumentPlan]:
    renderer = PageRenderer(CONFIG)
    texts = {"old lease.txt": "line\n" * 130, "new\nlease.txt": "line\n" * 70}
    return [renderer.plan(DocumentSource(name, text.encode())) for name, text in texts.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_glm4v(tmp_path_factory.mktemp("tiny"))


IN_ORDER = """{%- for message in messages -%}
<|{{ message.role }}|>
{%- if message.content is string -%}{{ message.content }}{%- else -%}{%- for part in message.content -%}
{%- if part.type == 'image' -%}<|begin_of_image|><|image|><|end_of_image|>{%- else -%}{{ part.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}{%- endfor -%}"""  # as GLM-4.1V's: parts stay where they are


def reader_of(folder: Path, *, labels: bool) -> Reader:
    (folder / "glyph_config.json").write_text(json.dumps({"render_preset": "mini", "page_labels": labels}))
    (folder / "chat_template.jinja").write_text(IN_ORDER)
    return Reader.of(read_checkpoint(folder, "tiny"))


def shown_text(reader: Reader, plans: list[DocumentPlan], messages: tuple[Message, ...]) -> str:
    """The prompt's text with one mark for each page."""
    token_ids = build_prompt(messages, plans, reader).prompt.token_ids
    text = reader.tokenizer.decode(token_ids, skip_special=False)
    return re.sub(r"(<\|image\|>)+", "□", text)


def test_labels_name_document_and_page(folder: Path, plans: list[DocumentPlan]) -> None:
    text = shown_text(reader_of(folder, labels=True), plans, MESSAGES)
    marks = re.sub(r"<\|[^|]*\|>|\[gMASK\]|<sop>|\s", "", text)
    pages = ["oldlease.txt,page1:□", "oldlease.txt,page2:□", "oldlease.txt,page3:□", "newlease.txt,page1:□"]
    assert "".join(pages) in marks
    assert marks.index("newlease.txt,page2:□") < marks.index("Whatdiffers?")


def test_no_labels_where_they_are_not_declared_or_needed(folder: Path, plans: list[DocumentPlan]) -> None:
    assert "page 1" not in shown_text(reader_of(folder, labels=False), plans, MESSAGES)
    one = (Message("user", "What is it?", (0,)),)
    assert "page 1" not in shown_text(reader_of(folder, labels=True), plans[:1], one)


def test_windows_leave_room_for_labels(folder: Path, plans: list[DocumentPlan]) -> None:
    reader = reader_of(folder, labels=True)
    whole = len(build_prompt(MESSAGES, plans, reader).prompt.token_ids)
    for context in range(whole // 2, whole + 40, 61):
        sampling = SamplingConfig(max_tokens=8)
        inquiry = Inquiry("r", MESSAGES, plans, reader, sampling, Account(), max_model_len=context)
        shown = 0
        while started := inquiry.next_sequence():
            prompt = started[1].prompt
            shown += len(prompt.pages)
            assert len(prompt.token_ids) + 8 <= context
        assert shown == sum(plan.num_pages for plan in plans)
