"""Random JSON schemas as people write them: small, bounded, nested a little."""

from __future__ import annotations

from random import Random
from typing import Any

Schema = dict[str, Any]
NAMES = (
    "name",
    "amount",
    "due_date",
    "party",
    "clauses",
    "is_final",
    "currency",
    "page",
    "notes",
    "kind",
    "id",
    "租金",
)
WORDS = ("draft", "final", "void", "EUR", "USD", "monthly", "yearly", "néant", "中")
PATTERNS = ("^[A-Z]{2}-[0-9]{4}$", "^[a-z]{1,8}$", "^(yes|no)$", "^[0-9]{4}-[0-9]{2}$")
FORMATS = ("date", "uuid", "ipv4")  # what jsonschema judges as the standards do


def random_schema(random: Random) -> Schema:
    """Of an object; everything in it has an end, so that an answer can be short."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_object(random, 2), **_definitions(random)}


def _definitions(random: Random) -> Schema:
    return {"title": "Extract", "description": "what the document says"} if random.random() < 0.3 else {}


def _object(random: Random, depth: int) -> Schema:
    names = random.sample(NAMES, random.randrange(1, 5))
    required = [name for name in names if random.random() < 0.7]
    properties = {name: _any(random, depth) for name in names}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _any(random: Random, depth: int) -> Schema:
    kinds = [_string, _integer, _number, _choice, _flag, _nothing, _pattern, _format]
    if depth:
        kinds += [_array, _nested, _either, _array, _nested]
    return random.choice(kinds)(random, depth)


def _string(random: Random, depth: int) -> Schema:
    low = random.randrange(3)
    return {"type": "string", "minLength": low, "maxLength": low + random.randrange(12)}


def _integer(random: Random, depth: int) -> Schema:
    low = random.randrange(-100, 100)
    return {"type": "integer", "minimum": low, "maximum": low + random.randrange(2000)}


def _number(random: Random, depth: int) -> Schema:
    # Few digits: a number's own digits have no end, and a random model goes on with them.
    return {"type": "number", "minimum": 0, "maximum": random.randrange(1, 1000)}


def _choice(random: Random, depth: int) -> Schema:
    return {"enum": random.sample(WORDS, random.randrange(1, 5)) + random.sample([None, 3, True], random.randrange(2))}


def _flag(random: Random, depth: int) -> Schema:
    return {"type": random.choice(["boolean", ["boolean", "null"]])}


def _nothing(random: Random, depth: int) -> Schema:
    return random.choice([{"type": "null"}, {"const": random.choice(WORDS)}])


def _pattern(random: Random, depth: int) -> Schema:
    return {"type": "string", "pattern": random.choice(PATTERNS)}


def _format(random: Random, depth: int) -> Schema:
    return {"type": "string", "format": random.choice(FORMATS)}


def _array(random: Random, depth: int) -> Schema:
    low = random.randrange(2)
    return {"type": "array", "items": _any(random, depth - 1), "minItems": low, "maxItems": low + random.randrange(3)}


def _nested(random: Random, depth: int) -> Schema:
    return _object(random, depth - 1)


def _either(random: Random, depth: int) -> Schema:
    return {"anyOf": [_integer(random, 0), _pattern(random, 0)]}
