"""A checkpoint's chat template without transformers, to look at what it makes of a turn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import read_json


def read_chat_template(path: Path) -> str:
    """From where transformers looks for it, and where older processors kept it; ModelError where there is none."""
    file = path / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    for name in ("tokenizer_config.json", "chat_template.json"):
        template = read_json(path / name).get("chat_template")
        if isinstance(template, str) and template:
            return template
    raise ModelError(f"{path} has no chat template (chat_template.jinja)")


def render_chat_template(template: str, turns: Sequence[Mapping[str, Any]]) -> str:
    """The prompt's text, as transformers' ``apply_chat_template`` makes it. Raises ModelError where that fails."""

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": refuse, "strftime_now": datetime.now(UTC).strftime}
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    try:
        return environment.from_string(template).render(messages=list(turns), add_generation_prompt=True)
    except TemplateError as error:
        raise ModelError(f"the chat template cannot be used: {error}") from error
