"""Every knob is checked: a misspelt field, an unreadable page or an impossible engine is refused with its name."""

from __future__ import annotations

import typing
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from glyph_core import config
from glyph_core.config import (
    PRESETS,
    Config,
    EngineConfig,
    LimitConfig,
    PipelineConfig,
    RenderConfig,
    SamplingConfig,
    preset,
)
from glyph_core.errors import ConfigError, RenderConfigError

ALL = [value for value in vars(config).values() if isinstance(value, type) and issubclass(value, Config)]


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_a_misspelt_field_is_refused_by_name(cls: type[Config]) -> None:
    with pytest.raises(ValidationError, match="max_tokns"):
        cls.model_validate({"max_tokns": 1})


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_defaults_are_valid_and_frozen(cls: type[Config]) -> None:
    made = cls()
    assert cls.model_validate(made.model_dump()) == made
    for name in cls.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(made, name, getattr(made, name))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid(name: str) -> None:
    chosen = preset(name)
    assert RenderConfig.model_validate(chosen.model_dump()) == chosen


def test_presets_draw_different_pages() -> None:
    assert len({chosen.digest for chosen in PRESETS.values()}) == len(PRESETS)


def test_official_presets_scale_with_the_resolution() -> None:
    """zai-org/Glyph renders 595×842 pt with a font of 9 pt on lines of 10 pt, at 72, 96 or 120 dpi."""
    for name in ("glyph-en", "glyph-zh"):
        at_72, at_96, at_120 = (preset(name, dpi=dpi) for dpi in (72, 96, 120))
        assert at_72 == preset(name)
        assert (at_96.page_width_px, at_96.page_height_px, at_96.font_size_px, at_96.margin_px) == (793, 1123, 12, 13)
        assert (at_120.page_width_px, at_120.page_height_px, at_120.font_size_px) == (992, 1403, 15)
        assert at_96.line_height_px == pytest.approx(40 / 3)
        assert (at_72.page_height_px, at_72.line_height_px) == (842, 10)


@pytest.mark.parametrize("spacing", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("size", [12, 14, 16])
def test_readable_comes_in_sizes_and_spacings(size: int, spacing: float) -> None:
    chosen = preset("readable", font_size_px=size, line_spacing=spacing)
    assert (chosen.page_width_px, chosen.font_size_px, chosen.line_height_px) == (1024, size, size * spacing)


def test_a_preset_that_is_made_unreadable_is_refused() -> None:
    with pytest.raises(RenderConfigError, match="em under 6 px"):
        preset("glyph-en", dpi=36)


def test_unknown_preset_names_those_that_exist() -> None:
    with pytest.raises(RenderConfigError, match=r"'tiny'.*mini.*glyph-en"):
        preset("tiny")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"font_size_px": 5.9}, "font_size_px"),  # no tower reads an em under 6 px
        ({"margin_px": 240}, "margin_px"),  # two margins as wide as the page
        ({"page_height_px": 56, "margin_px": 28, "line_height_px": 14}, "margin_px"),
        ({"page_width_px": 470}, "snap_px"),
        ({"page_height_px": 870}, "snap_px"),
        ({"min_width_px": 504}, "snap_px"),  # wider than the page
        ({"line_height_px": 9.5}, "line_height_px"),  # lines over one another
        ({"cell_width_px": 5}, "cell_width_px"),  # narrower than what is to stand in it
        ({"page_width_px": 2240, "page_height_px": 2240}, "page_height_px"),  # more than a model takes
    ],
)
def test_a_page_that_nobody_could_read_is_refused(fields: dict[str, float], param: str) -> None:
    with pytest.raises(RenderConfigError) as caught:
        RenderConfig.model_validate(fields)
    assert caught.value.param == param
    assert caught.value.status == 400


def test_render_digest_follows_every_field() -> None:
    changed: dict[str, object] = {
        "font": "sans", "font_size_px": 12, "cell_width_px": 8, "line_height_px": 16, "page_width_px": 504,
        "page_height_px": 896, "margin_px": 28, "snap_px": 14, "min_width_px": 252, "tab_columns": 8, "inverted": True,
        "dpi": 72, "mode": "native", "block_gap": 0.5, "styled": True, "tables": "ruled", "formulas": "set",
        "figures": "set", "highlight": True, "newline_marks": True, "picture_scale": 2,
    }  # fmt: skip
    assert set(changed) == set(RenderConfig.model_fields)
    digests = {RenderConfig.model_validate({name: value}).digest for name, value in changed.items()}
    assert len(digests | {RenderConfig().digest}) == len(changed) + 1


def test_mini_puts_every_character_into_one_visual_token() -> None:
    """Preset ``mini``: a token is 28 px square, so cells, lines, margins and pages must divide or multiply it."""
    mini, token_px = preset("mini"), 28
    assert token_px % mini.cell_width_px == 0
    assert token_px % mini.line_height_px == 0
    assert mini.margin_px % mini.cell_width_px == 0
    assert mini.margin_px % mini.line_height_px == 0
    assert (mini.page_width_px % token_px, mini.page_height_px % token_px, mini.snap_px) == (0, 0, token_px)


@pytest.mark.parametrize(
    "fields",
    [{"temperature": -0.1}, {"temperature": 2.1}, {"top_p": 0}, {"max_tokens": 0}, {"repetition_penalty": 0}],
)
def test_sampling_out_of_range_is_refused_by_name(fields: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        SamplingConfig.model_validate(fields)


def test_a_step_must_hold_a_token_of_every_running_sequence() -> None:
    with pytest.raises(ConfigError, match=r"max_num_batched_tokens=8.*max_num_seqs=9"):
        EngineConfig(max_num_batched_tokens=8, max_num_seqs=9)


def test_a_pipeline_is_configured_from_plain_values() -> None:
    made = PipelineConfig.model_validate({"model": {"dtype": "float32"}, "limits": {"max_pages": 3}})
    assert (made.model.dtype, made.limits, made.render) == ("float32", LimitConfig(max_pages=3), None)


def annotated_fields() -> Iterator[tuple[str, type[BaseModel]]]:
    for cls in ALL:
        for name, annotation in typing.get_type_hints(cls).items():
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield f"{cls.__name__}.{name}", annotation


def test_what_a_config_holds_is_a_config_too() -> None:
    held = dict(annotated_fields())
    assert held
    assert all(issubclass(annotation, Config) for annotation in held.values()), held
