"""A report of ``glyph bench engine`` as one page of tables."""

from __future__ import annotations

import math
from typing import Any

Json = dict[str, Any]


def as_markdown(report: Json) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items() if number)
    lines = [
        f"# Engine, {report['shape']}, random weights", "",
        f"{report['date']} · {report['device']} · {versions}", "",
    ]  # fmt: skip
    lines += _table("The card's limits", [report["limits"]])
    lines += _table("Products of few rows", report["products"].get("ways", [report["products"]]))
    for name, part in report.items():
        if isinstance(part, dict) and "decode" in part:
            for title in ("decode", "shared_prefix", "prefill"):
                lines += _table(f"{name}: {title.replace('_', ' ')}", part[title])
        elif name in ("bfloat16", "float32", "fp8"):
            lines += _table(name, [part])
    lines += _table("Accuracy, against float32", report["accuracy"].get("ways", [report["accuracy"]]))
    lines += _table("Memory plan of 24 GiB", report["memory_plan"])
    lines += _table("transformers' generate", report["transformers"])
    lines += _table("The vision tower", report["vision"].get("speed", [report["vision"]]))
    if "accuracy" in report["vision"]:
        lines += _table("The vision tower's features, against float32", report["vision"]["accuracy"])
    return "\n".join(lines) + "\n"


def add_ratios(report: Json) -> None:
    """Puts beside transformers' figures how many times as fast ours are, in the model's dtype and with FP8 weights."""
    parts = {name: part for name, part in report.items() if isinstance(part, dict) and "decode" in part}
    for row in report["transformers"]:
        for name, part in parts.items():
            decode = [
                case for case in part["decode"]
                if "error" not in case and case["kv"] == "auto"
                and (case["num_sequences"], case["context"]) == (row.get("num_sequences"), row.get("context"))
            ]  # fmt: skip
            prefill = [case for case in part["prefill"] if case.get("num_tokens") == row.get("context")]
            if decode:
                row[f"{name}_decode"] = decode[0]["tokens_s"] / row["tokens_s"]
            if prefill and row.get("num_sequences") == 1:
                row[f"{name}_prefill"] = row["prefill_s"] / prefill[0]["prefill_s"]


def _table(title: str, rows: list[Json]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    body = ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows]
    return [f"## {title}", "", "| " + " | ".join(names) + " |", "|---" * len(names) + "|", *body, ""]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "-"
    return "-" if value is None else f"{value}"
