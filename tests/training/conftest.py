"""Sources that need no word list, and the renderer's tables, which take seconds to fill."""

from __future__ import annotations

import random
from itertools import product

import pytest
import torch

from glyph_core.training.looks import Typesetter
from glyph_core.training.text_sources import TextSources


@pytest.fixture(scope="session")
def sources() -> TextSources:
    """A few thousand made-up words, names and paragraphs of both sides."""
    made = ["".join(parts) for parts in product("bdfgklmnprst", "aeiou", "lmnrst", ("a", "en", "o", "ing"))]
    random.Random(1).shuffle(made)
    words, names = made[:1000], [word.capitalize() for word in made[1000:]]
    sentences = [" ".join(words[i : i + 9]).capitalize() + "." for i in range(0, 900, 9)]
    paragraphs = [" ".join(sentences[i : i + 4]) for i in range(96)]
    return TextSources(tuple(words), tuple(names), tuple(paragraphs))


@pytest.fixture(scope="session")
def typesetter() -> Typesetter:
    return Typesetter()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models are slower on several threads, above all on a machine that has other work."""
    torch.set_num_threads(1)
