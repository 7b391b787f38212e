"""Dates of a JSON schema held to the calendar.

llguidance takes ``"format": "date"`` for a regular language in which every year has a 29 February, and a year 0. Who
validates the answer, such as Python's ``date.fromisoformat``, refuses both.
"""

from __future__ import annotations

from typing import Any

_YEAR = r"(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])"
_LEAP_YEAR = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
_DATE = f"(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)"
_PATTERNS = {"date": f"^{_DATE}$", "date-time": f"^{_DATE}[Tt ]"}
_VALUES = frozenset({"const", "enum", "default", "examples"})  # no schemas, whatever they look like
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})


def with_calendar_dates(schema: Any) -> Any:
    """``schema`` with a pattern beside each ``format`` that is a date; what has none stays as it is."""
    if isinstance(schema, list):
        return [with_calendar_dates(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _part(key, value) for key, value in schema.items()}
    form = schema.get("format")
    if isinstance(form, str) and form in _PATTERNS:
        others = result.get("allOf", [])
        if isinstance(others, list):
            result["allOf"] = [*others, {"pattern": _PATTERNS[form]}]
    return result


def _part(key: str, value: Any) -> Any:
    if key in _VALUES:
        return value
    if key in _NAMED_SCHEMAS and isinstance(value, dict):
        return {name: with_calendar_dates(schema) for name, schema in value.items()}
    return with_calendar_dates(value)
