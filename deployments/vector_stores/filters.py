"""What a search leaves out: OpenAI's attribute filters (comparisons, and these joined by and, or) and low scores."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from deployments.wire import Wire

Value = str | float | bool


class Comparison(Wire):
    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: Value | list[Value]

    @field_validator("value")
    @classmethod
    def _sets_are_lists(cls, value: Value | list[Value], info: ValidationInfo) -> Value | list[Value]:
        if isinstance(value, list) != (info.data.get("type") in ("in", "nin")):
            raise ValueError("'in' and 'nin' compare with a list of values, everything else with one value")
        return value

    def matches(self, attributes: Mapping[str, Value]) -> bool:
        """A file without the attribute matches only what asks for another value."""
        if self.key not in attributes:
            return self.type in ("ne", "nin")
        try:
            return bool(_COMPARISONS[self.type](attributes[self.key], self.value))
        except TypeError:  # a number beside a text
            return False


class Compound(Wire):
    type: Literal["and", "or"]
    filters: list[Filter]

    def matches(self, attributes: Mapping[str, Value]) -> bool:
        found = (part.matches(attributes) for part in self.filters)
        return all(found) if self.type == "and" else any(found)


Filter = Annotated[Comparison | Compound, Field(discriminator="type")]


class RankingOptions(Wire):
    ranker: Literal["auto", "none"] = "auto"
    score_threshold: float = Field(0.0, ge=0, le=1)


_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": lambda value, values: value in values,
    "nin": lambda value, values: value not in values,
}
