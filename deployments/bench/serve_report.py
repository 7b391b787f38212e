"""What the samples of ``glyph bench serve`` come to: percentiles, rates, goodput and errors, as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from deployments.bench.render import circumstances
from deployments.bench.serve_load import Level, Sample
from deployments.bench.workload import Workload
from deployments.openai_answers import Json

PERCENTILES = (50, 90, 95, 99)
LATENCIES = ("ttft", "tpot", "e2e")


@dataclass(frozen=True, slots=True)
class Objective:
    """What an answer must keep to, to count for goodput."""

    ttft_ms: float
    tpot_ms: float

    def is_met(self, sample: Sample) -> bool:
        if sample.error is not None or sample.ttft_s is None:
            return False
        return 1000 * sample.ttft_s <= self.ttft_ms and 1000 * (sample.tpot_s or 0.0) <= self.tpot_ms


def report_of(
    url: str,
    model: str,
    workload: Workload,
    objective: Objective,
    duration_s: float,
    measured: Sequence[tuple[Level, Sequence[Sample]]],
) -> Json:
    return {
        "url": url,
        "model": model,
        "documents": len(workload.documents),
        "document_bytes": sum(len(document.content) for document in workload.documents),
        "questions": len(workload.questions),
        "max_tokens": workload.max_tokens,
        "fresh": workload.is_fresh,
        "seed": workload.seed,
        "objective": asdict(objective),
        "duration_s": duration_s,
        "levels": [level_report(level, samples, objective, duration_s) for level, samples in measured],
        **circumstances(),
    }


def level_report(level: Level, samples: Sequence[Sample], objective: Objective, duration_s: float) -> Json:
    """Rates are over the level's time, or over that until the last answer's end where it is longer."""
    answered = [sample for sample in samples if sample.error is None]
    seconds = max([duration_s, *(sample.ended_s for sample in samples)])

    def rate(count: float) -> float:
        return round(count / seconds, 3)

    return {
        "level": level.name,
        "loop": "closed" if level.rate_per_s is None else "open",
        "rate_per_s": level.rate_per_s,
        "clients": level.num_clients,
        "seconds": round(seconds, 2),
        "requests": len(samples),
        "answered": len(answered),
        "errors": dict(Counter(sample.error for sample in samples if sample.error is not None)),
        "requests_per_s": rate(len(samples)),
        "answered_per_s": rate(len(answered)),
        "goodput_per_s": rate(sum(objective.is_met(sample) for sample in samples)),
        "pages_per_s": rate(sum(sample.num_pages for sample in answered)),
        "prompt_tokens_per_s": rate(sum(sample.num_prompt_tokens for sample in answered)),
        "cached_tokens_per_s": rate(sum(sample.num_cached_tokens for sample in answered)),
        "completion_tokens_per_s": rate(sum(sample.num_completion_tokens for sample in answered)),
        **{f"{name}_ms": percentiles_ms(latencies(answered, name)) for name in LATENCIES},
        "refusal_ms": percentiles_ms([sample.e2e_s for sample in samples if sample.error is not None]),
        "send_delay_ms": percentiles_ms([sample.sent_s - sample.begun_s for sample in samples]),
    }


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float] | None:
    """By nearest rank, in milliseconds; None where there is nothing to rank."""
    ranked = sorted(seconds)
    if not ranked:
        return None
    ranks = {share: max(1, -(-share * len(ranked) // 100)) for share in PERCENTILES}  # rounded up
    return {f"p{share}": round(1000 * ranked[rank - 1], 2) for share, rank in ranks.items()}


def latencies(samples: Sequence[Sample], name: str) -> list[float]:
    values = [getattr(sample, f"{name}_s") for sample in samples]
    return [value for value in values if value is not None]


def as_text(report: Json) -> str:
    """A line a level, within 100 columns."""
    objective = report["objective"]
    head = (
        f"{report['model']} at {report['url']}: {report['documents']} documents, {report['questions']} questions, "
        f"seed {report['seed']}\n\n"
        f"{'load':<11}{'requests':>9}{'answered/s':>11}{'goodput/s':>10}"
        f"{'first token ms':>17}{'later token ms':>17}{'whole answer ms':>17}\n"
        f"{'':<41}{'p50      p99':>17}{'p50      p99':>17}{'p50      p99':>17}\n"
    )
    lines = [_line(level) for level in report["levels"]]
    goodput = (
        f"\ngoodput: answers with their first token within {objective['ttft_ms']:g} ms and a later one every "
        f"{objective['tpot_ms']:g} ms\n"
    )
    return head + "".join(lines) + goodput


def _line(level: Json) -> str:
    spans = "".join(
        f"{_span(level[f'{name}_ms']):>{width}}" for name, width in zip(LATENCIES, (17, 17, 17), strict=True)
    )
    line = f"{level['level']:<11}{level['requests']:>9}{level['answered_per_s']:>11.2f}{level['goodput_per_s']:>10.2f}"
    errors = ", ".join(f"{count} {code}" for code, count in level["errors"].items())
    return f"{line}{spans}\n" + (f"{'':<11}not answered: {errors}\n" if errors else "")


def _span(percentiles: dict[str, float] | None) -> str:
    return f"{percentiles['p50']:.0f}  {percentiles['p99']:>7.0f}" if percentiles else "–"
