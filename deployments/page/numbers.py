"""What an answer took, as a table."""

from __future__ import annotations

from html import escape

from deployments.openai_answers import Json
from deployments.page.strings import Words

EXPLAINED = ("n_text_tokens", "n_visual_tokens", "n_ratio", "n_cached", "n_overlap")  # by a phrase, under the pointer


def numbers_of(usage: Json, glyph: Json, words: Words) -> dict[str, str]:
    """By what they are called."""
    counts, ms = usage["prompt_tokens_details"], glyph["timings"]
    text_tokens = f"{counts['text_tokens_equivalent']:,}"
    return {
        words("n_pages"): f"{glyph['pages']:,}",
        words("n_text_tokens"): words("n_estimated", number=text_tokens) if counts["estimated"] else text_tokens,
        words("n_visual_tokens"): f"{counts['visual_tokens']:,}",
        words("n_ratio"): f"{glyph['compression_ratio']:.2f}×",
        words("n_cached"): words(
            "n_cached_of", cached=f"{counts['cached_tokens']:,}", prompt=f"{usage['prompt_tokens']:,}"
        ),
        words("n_answer_tokens"): f"{usage['completion_tokens']:,}",
        words("n_render"): duration(ms["render_ms"]),
        words("n_encode"): duration(ms["encode_ms"]),
        words("n_prefill"): duration(ms["prefill_ms"]),
        words("n_ttft"): duration(ms["ttft_ms"]),
        words("n_tpot"): duration(ms["tpot_ms"]),
        words("n_e2e"): duration(ms["e2e_ms"]),
        words("n_overlap"): f"{ms['overlap']:.2f}×",
    }


def numbers_html(usage: Json, glyph: Json, words: Words, *, is_open: bool) -> str:
    explained = {words(key): words(f"{key}_hint") for key in EXPLAINED}
    cells = "".join(
        f'<div title="{escape(explained.get(name, ""))}"><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>'
        for name, value in numbers_of(usage, glyph, words).items()
    )
    shown = " open" if is_open else ""
    return (
        f'<details class="numbers"{shown}><summary>{escape(words("numbers"))}</summary>'
        f"{_fast_path(usage, words)}<dl>{cells}</dl></details>"
    )


def duration(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


def size(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.1f} MB" if num_bytes >= 2**20 else f"{max(1, num_bytes // 1024)} kB"


def _fast_path(usage: Json, words: Words) -> str:
    cached, prompt = usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]
    if not cached:
        return ""
    return f'<p class="fast">{escape(words("n_fast", percent=f"{cached / prompt:.0%}"))}</p>'
