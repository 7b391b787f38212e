"""The page's words in its languages, and which language a visitor gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

import yaml

LANGUAGES = ("en", "zh")
LANGUAGE_TAGS = {"en": "en", "zh": "zh-CN"}

Words = Callable[..., str]  # words("page_caption", number=3)


@cache
def table() -> Mapping[str, Mapping[str, str]]:
    """By key, then by language."""
    text = files("deployments.page").joinpath("strings.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def words_of(language: str) -> Words:
    def words(key: str, /, **values: object) -> str:
        return table()[key][language].format(**values)

    return words


def language_for(accept_language: str, chosen: str | None = None) -> str:
    """``chosen`` where it is a language of ours, else the best of an Accept-Language header, else English."""
    if chosen in LANGUAGES:
        return chosen
    wanted = [_weighed(part) for part in accept_language.split(",") if part.strip()]
    for _, tag in sorted(wanted, key=lambda pair: -pair[0]):
        if (primary := tag.partition("-")[0]) in LANGUAGES:
            return primary
    return LANGUAGES[0]


def _weighed(part: str) -> tuple[float, str]:
    tag, _, parameters = part.strip().partition(";")
    weight = parameters.strip().removeprefix("q=")
    try:
        return (float(weight) if weight else 1.0), tag.strip().lower()
    except ValueError:
        return 0.0, tag.strip().lower()
