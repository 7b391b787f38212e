"""What the engine's tests share: a request with its pages' features, and a driver as simple as one can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from glyph_core.config import SamplingConfig
from glyph_core.engine.engine import Engine, TokenOutput
from glyph_core.types import PagePlacement, PagePlan, Prompt, digest_of

Parts = tuple[str | tuple[int, ...], ...]  # of a prompt: pages and runs of tokens
GREEDY = SamplingConfig(max_tokens=32, ignore_eos=True)


@dataclass(frozen=True)
class Case:
    """A request and what it must give."""

    prompt: Prompt
    features: Sequence[torch.Tensor] = ()  # one a page
    expected: Sequence[int] = ()  # ids under greedy decoding
    sampling: SamplingConfig = field(default=GREEDY)
    hf_inputs: Mapping[str, torch.Tensor] = field(default_factory=dict)  # what transformers takes for the same


def feed_wanted(engine: Engine, request_id: str, case: Case) -> None:
    for number in engine.wanted_pages(request_id):
        engine.feed(request_id, number, case.features[number])


def drive(engine: Engine, cases: Mapping[str, Case]) -> dict[str, list[TokenOutput]]:
    """Adds all requests at once, feeds every page that is wanted at once, steps until nothing is left."""
    outputs: dict[str, list[TokenOutput]] = {request_id: [] for request_id in cases}
    for request_id, case in cases.items():
        engine.add(request_id, case.prompt, case.sampling)
    while engine.has_work:
        for request_id, case in cases.items():
            feed_wanted(engine, request_id, case)
        assert engine.can_step, "requests are left, their pages are fed, and nothing can run"
        for output in engine.step():
            outputs[output.request_id].append(output)
        engine.check_integrity()
    return outputs


def token_ids(outputs: Sequence[TokenOutput]) -> list[int]:
    return [output.token_id for output in outputs]


def prompt_of(*parts: str | tuple[int, ...], placeholder: int = 0) -> Prompt:
    """A prompt of token runs and pages; a page is given by its digest, and has 2×3 visual tokens."""
    ids: list[int] = []
    pages: list[PagePlacement] = []
    for part in parts:
        if isinstance(part, str):
            plan = PagePlan(len(pages), 84, 56, digest_of(part.encode()))
            pages.append(PagePlacement(page=plan, start=len(ids), num_tokens=6, grid_thw=(1, 4, 6)))
            ids.extend([placeholder] * 6)
        else:
            ids.extend(part)
    return Prompt(token_ids=tuple(ids), pages=tuple(pages))
