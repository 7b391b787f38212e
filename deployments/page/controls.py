"""The options' controls, each with a phrase that says what it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from deployments.page.session import Options
from deployments.page.strings import Words
from glyph_core.config import PRESETS

FONT_SIZES_PX = (12, 14, 16)
LINE_SPACINGS = (1.0, 1.5, 2.0)
DPIS = (72, 96, 120, 144)
MAX_TOKENS = (16, 4096)
RENDERING = ("preset", "font_size_px", "line_spacing", "dpi", "highlight")
INFERENCE = ("temperature", "max_tokens", "top_p", "follow_up")

Control = gr.Dropdown | gr.Radio | gr.Checkbox | gr.Slider


def html(value: str, **properties: Any) -> gr.HTML:
    """HTML with our own style alone: Gradio's is for prose, and makes buttons and lists its own."""
    return gr.HTML(value, apply_default_css=False, js_on_load=None, **properties)


def rendering_controls(words: Words) -> list[Control]:
    """In the order of RENDERING; 0 and the empty string: the model's own."""
    presets = [(words("models_own"), ""), *((name, name) for name in PRESETS)]
    return [
        gr.Dropdown(presets, value="", label=words("preset"), info=words("preset_hint"), elem_id="preset"),
        _choice(FONT_SIZES_PX, "font_size", words),
        _choice(LINE_SPACINGS, "line_spacing", words),
        _choice(DPIS, "dpi", words),
        gr.Checkbox(label=words("highlight"), info=words("highlight_hint"), elem_id="highlight"),
    ]


def inference_controls(words: Words) -> list[Control]:
    """In the order of INFERENCE."""
    defaults = Options()
    return [
        gr.Slider(0, 2, value=defaults.temperature, step=0.05, label=words("temperature"),
                  info=words("temperature_hint"), elem_id="temperature"),
        gr.Slider(*MAX_TOKENS, value=defaults.max_tokens, step=16, label=words("max_tokens"),
                  info=words("max_tokens_hint"), elem_id="max_tokens"),
        gr.Slider(0.05, 1, value=defaults.top_p, step=0.05, label=words("top_p"), info=words("top_p_hint"),
                  elem_id="top_p"),
        gr.Checkbox(label=words("follow_up"), info=words("follow_up_hint"), elem_id="follow_up"),
    ]  # fmt: skip


def _choice(values: Sequence[float], name: str, words: Words) -> gr.Radio:
    choices: list[tuple[str, float]] = [(words("as_preset"), 0), *((f"{value}", value) for value in values)]
    return gr.Radio(choices, value=0, label=words(name), info=words(f"{name}_hint"), elem_id=name)


def options_of(values: Sequence[Any]) -> Options:
    """From what the controls hold, those for rendering first."""
    given = dict(zip((*RENDERING, *INFERENCE), values, strict=True))
    unset = {name: None for name in ("font_size_px", "line_spacing", "dpi") if not given[name]}
    return Options.model_validate({**given, **unset})


def control_values(options: Options) -> list[Any]:
    """What the controls show for ``options``."""
    shown = options.model_dump()
    return [0 if shown[name] is None else shown[name] for name in (*RENDERING, *INFERENCE)]
