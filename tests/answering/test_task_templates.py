"""Task templates: what is shipped can be used, and what is no template is told by its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyph_core.answering.task_templates import load_templates, read_template, template_called
from glyph_core.errors import ConfigError, InvalidRequestError


def test_the_shipped_ones() -> None:
    templates = load_templates()
    assert set(templates) == {"contract-summary", "risk-list", "literature-review", "compare", "support-answer"}
    for template in templates.values():
        filled = template.fill("  Only what concerns rent.  ", 2)
        assert filled.endswith("Only what concerns rent.")
        assert "{question}" not in template.fill("", 2)
        assert template.title
        assert template.description


def test_a_folder_s_templates_stand_over_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "compare.md").write_text("---\ntitle: T\ndescription: D\nmax_documents: 3\n---\nWhat differs?\n")
    fields = "title: T\ndescription: D\nmin_documents: 0"
    (tmp_path / "mine.md").write_text(f"---\n{fields}\n---\nSay {{question}}, {{question}}!")
    templates = load_templates(tmp_path)
    assert len(templates) == 6
    assert templates["compare"].fill("", 3) == "What differs?"
    assert templates["mine"].fill("ah", 0) == "Say ah, ah!"
    with pytest.raises(InvalidRequestError, match="1 to 3 documents, and 4 came"):
        templates["compare"].fill("", 4)
    with pytest.raises(InvalidRequestError, match=r"takes no question.*\{question\}"):
        templates["compare"].fill("Only rent.", 3)  # it would be dropped


def test_too_few_documents() -> None:
    with pytest.raises(InvalidRequestError, match="2 or more documents, and 1 came"):
        load_templates()["compare"].fill("", 1)


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(InvalidRequestError, match=r"no template 'poem'.*risk-list"):
        template_called("poem", load_templates())


@pytest.mark.parametrize(
    "text",
    [
        "", "no fields", "---\ntitle: T\n---\nx", "---\n- a\n---\nx", "---\ntitle: [\n---\nx",
        "---\ntitle: T\ndescription: D\n---\n \n", "---\ntitle: T\ndescription: D\nx: 1\n---\ny",
    ],
)  # fmt: skip
def test_what_is_no_template(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.md").write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.md is no template"):
        read_template(tmp_path / "bad.md")
    with pytest.raises(ConfigError, match="no folder"):
        load_templates(tmp_path / "none")
