"""The table of what a checkpoint reads: lines for people, and a file that holds every answer, to be gone on from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from glyph_core.errors import ConfigError
from glyph_core.training.reading import Asked, RowResult, wilson_interval
from glyph_core.training.rows import Row


def header() -> str:
    return "| row | right | 95 % | questions | warned | goal |\n|---|---|---|---|---|---|"


def table_line(row: Row, num_right: int, count: int, num_warned: int | None = None) -> str:
    low, high = wilson_interval(num_right, count)
    goal = "report" if row.goal is None else f"{'≤' if row.is_control else '≥'} {row.goal}"
    warned = "" if num_warned is None else f"{num_warned / max(1, count):.2f}"
    share = num_right / max(1, count)
    return f"| {row.name} | {share:.3f} | {low:.3f}–{high:.3f} | {count} | {warned} | {goal} |"


@dataclass
class Table:
    """Results by row, kept in ``path`` after every row."""

    model: str
    seed: int
    path: Path | None = None
    results: dict[str, RowResult] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path | None, model: str, seed: int) -> Table:
        """What ``path`` holds of ``model``; else an empty table. Raises ConfigError for another model's file."""
        if path is None or not path.exists():
            return cls(model, seed, path)
        table = cls._read(path)
        if table.model != model:
            raise ConfigError(f"{path} holds the table of {table.model!r}; name another file for {model!r}")
        return table

    @classmethod
    def merged(cls, paths: Sequence[Path]) -> Table:
        """The rows of all ``paths``; answers to one row are put together."""
        tables = [cls._read(path) for path in paths]
        merged = cls(tables[0].model, tables[0].seed)
        for table in tables:
            for name, result in table.results.items():
                known = merged.results.setdefault(name, RowResult(name))
                known.asked += result.asked
                known.seconds += result.seconds
        return merged

    def has(self, name: str, num_questions: int) -> bool:
        return name in self.results and len(self.results[name].asked) >= num_questions

    def add(self, result: RowResult) -> None:
        self.results[result.name] = result
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            written = self.path.with_suffix(".new")
            content = {
                "model": self.model,
                "seed": self.seed,
                "rows": [
                    {"row": r.name, "share": r.share, "seconds": r.seconds, "asked": [asdict(a) for a in r.asked]}
                    for r in self.results.values()
                ],
            }
            written.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            written.replace(self.path)

    def line(self, row: Row) -> str:
        result = self.results[row.name]
        num_warned = sum(asked.num_warnings > 0 for asked in result.asked)
        return f"{table_line(row, result.num_right, len(result.asked), num_warned)}  <!-- {result.seconds:.1f} s -->"

    @classmethod
    def _read(cls, path: Path) -> Table:
        content = json.loads(path.read_text(encoding="utf-8"))
        results = {
            entry["row"]: RowResult(entry["row"], [Asked(**asked) for asked in entry["asked"]], entry["seconds"])
            for entry in content["rows"]
        }
        return cls(content["model"], content["seed"], path, results)
