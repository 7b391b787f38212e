"""The render configuration that a request chooses, with errors that name the request's own fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from deployments.wire import invalid_request
from glyph_core.config import RenderConfig, preset
from glyph_core.errors import RenderConfigError


def chosen_render(
    default: RenderConfig, preset_name: str | None, fields: Mapping[str, Any], *, preset_param: str, fields_param: str
) -> RenderConfig:
    """``default``, or the preset, with ``fields`` instead of its own; the two ``param`` are where the request has them.

    Raises InvalidRequestError and RenderConfigError.
    """
    try:
        base = default if preset_name is None else preset(preset_name)
        return RenderConfig.model_validate({**base.model_dump(), **fields})
    except ValidationError as error:
        raise invalid_request(error, fields_param) from error
    except RenderConfigError as error:  # which names the field of the configuration
        param = preset_param if error.param == "preset" else ".".join(filter(None, (fields_param, error.param)))
        raise RenderConfigError(error.message, param=param) from error
