"""The seed table's report as Markdown, beside what the seed article says."""

from __future__ import annotations

from deployments.bench.report import Json

# As the seed article has them, on a 4090D; it encodes one image of fixed size, whatever the document's length.
SEED_MS = {4_096: (120, 85), 16_384: (310, 92), 65_536: (980, 103), 262_144: (3_210, 118)}
SEED_TOKENS_S = {4_096: 48.0, 16_384: 47.0, 65_536: 45.0, 262_144: 43.5}
SEED_ANSWER_S = {4_096: 1.8, 16_384: 2.9, 65_536: 5.6, 262_144: 12.3}


def as_markdown(report: Json) -> str:
    """The rows as a table, in brackets what the seed article says; then the raw text."""
    lines = [
        "| preset | text tokens | pages | visual tokens | ratio | render ms | encode ms | prefill ms | first token ms "
        "| tokens/s | 256 tokens s | second question: first token ms | all of it s | peak GB |",
        "|---|" + "---:|" * 13,
    ]
    for row in report["rows"]:
        if "error" in row:
            lines.append(f"| {row['preset']} | {row['text_tokens']:,} | {row['error']} |")
            continue
        length = row["text_tokens"]
        render, encode = SEED_MS.get(length, (None, None)) if row["preset"] == "glyph-en" else (None, None)
        seed_rate, seed_s = (table.get(length) if render else None for table in (SEED_TOKENS_S, SEED_ANSWER_S))
        cells = [
            row["preset"], f"{length:,}", f"{row['pages']:,}", f"{row['visual_tokens']:,}",
            f"{row['compression']:.2f}×", _beside(row["render_ms"], render), _beside(row["encode_ms"], encode),
            f"{row['prefill_ms']:,.0f}", f"{row['ttft_ms']:,.0f}", _beside(row["tokens_s"], seed_rate, 1),
            _beside(row["answer_s"], seed_s, 2), f"{row['second_ttft_ms']:,.0f}", f"{row['second_answer_s']:.2f}",
            f"{row['peak_reserved'] / 1e9:.2f}" if "peak_reserved" in row else "-",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| raw text, tokens | first token ms |", "|---:|---:|"]
    lines += [
        f"| {row['tokens']:,} | {row['ttft_ms']:,.0f} |" if "tokens" in row else f"| {row['error']} | |"
        for row in report["raw_text"]
    ]
    return "\n".join(lines) + "\n"


def _beside(ours: float, seed: float | None, digits: int = 0) -> str:
    return f"{ours:,.{digits}f}" + ("" if seed is None else f" ({seed:,})")
