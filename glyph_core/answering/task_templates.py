"""Prompts for tasks that come again and again: Markdown files that anybody may edit.

A file begins with a few fields between two lines of ``---``; what follows is the prompt, in which ``{question}`` stands
for what the user adds, which may be nothing. The file's name without ``.md`` is the template's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from glyph_core.config import Config
from glyph_core.errors import ConfigError, InvalidRequestError

SHIPPED = Path(__file__).parent / "templates"
PARAM = "glyph.template"
_FENCE = "---\n"
_QUESTION = "{question}"


class TaskTemplate(Config):
    name: str
    title: str
    description: str
    min_documents: int = Field(1, ge=0)
    max_documents: int | None = Field(None, ge=1, description="None: any number")
    prompt: str = Field(min_length=1)

    def fill(self, question: str, num_documents: int) -> str:
        """The question to ask. Raises InvalidRequestError for too few or too many documents, and for a question that
        the prompt has no place for."""
        most = num_documents if self.max_documents is None else self.max_documents
        if not self.min_documents <= num_documents <= most:
            wanted = f"{self.min_documents} {'or more' if self.max_documents is None else f'to {most}'}"
            raise InvalidRequestError(
                f"the template {self.name!r} is about {wanted} documents, and {num_documents} came", param=PARAM
            )
        if question.strip() and _QUESTION not in self.prompt:
            raise InvalidRequestError(
                f"the template {self.name!r} takes no question: ask without one, or put {_QUESTION} where it is to "
                "stand",
                param=PARAM,
            )
        return self.prompt.replace(_QUESTION, question.strip()).strip()


def load_templates(folder: Path | None = None) -> dict[str, TaskTemplate]:
    """The shipped templates by name, and over them those of ``folder``. Raises ConfigError for a file that is none."""
    folders = [SHIPPED] if folder is None else [SHIPPED, folder]
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"there is no folder of templates {folder}")
    return {path.stem: read_template(path) for f in folders for path in sorted(f.glob("*.md"))}


def read_template(path: Path) -> TaskTemplate:
    """Raises ConfigError for a file that cannot be read or is no template."""
    try:
        text = path.read_text(encoding="utf-8")
        _, fields, prompt = text.split(_FENCE, 2)
        return TaskTemplate.model_validate({**yaml.safe_load(fields), "name": path.stem, "prompt": prompt.strip()})
    except (OSError, ValueError, TypeError, yaml.YAMLError, ValidationError) as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"{path} is no template, fields between two lines of --- and a prompt: {why}") from error


def template_called(name: str, templates: Mapping[str, TaskTemplate]) -> TaskTemplate:
    """Raises InvalidRequestError naming those that there are."""
    if name not in templates:
        raise InvalidRequestError(f"there is no template {name!r}; there are: {', '.join(templates)}", param=PARAM)
    return templates[name]
