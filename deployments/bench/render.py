"""``glyph bench render``: text to pages, our way and two others', side by side in one run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory

import numpy as np

from deployments.bench.report import Json, Show, installed_versions, now, processor
from deployments.bench.seed_article import render_text_to_image
from deployments.bench.texts import BenchText, bench_texts
from deployments.bench.timing import Contender, cpu_in_turns, cpu_s, pieces_of
from glyph_core.config import LimitConfig, preset
from glyph_core.rendering.paper import OwnedPaper
from glyph_core.rendering.png import encode_png
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource

PRESET_OF = {"english": "glyph-en", "chinese": "glyph-zh"}
WARM_UP = DocumentSource("warm-up", b"warm-up")

PACKAGES = ("glyph-serve", "numba", "numpy", "pillow", "freetype-py", "isal", "reportlab", "pdf2image")


@dataclass(frozen=True, slots=True)
class LanguageReport:
    """Times are CPU time, the mean of all rounds; a ratio is another's time over ours.

    ``ours_ms`` is from a document's bytes to arrays of all of its pages, in memory of the caller's; ``ours_png_ms``
    goes on to PNG files in memory. ``official_ms`` is from text to PNG files, as that pipeline has no other output;
    it is None where ``official_missing`` says why.
    """

    text: str
    chars: int
    preset: str
    pages: int
    official_pages: int | None
    ours_ms: float
    ours_layout_ms: float
    ours_png_ms: float
    memcpy_ms: float
    seed_ms: float
    official_ms: float | None
    ratio_vs_seed: float
    ratio_vs_official: float | None
    ratio_vs_official_png: float | None
    ratio_vs_memcpy: float
    ours_mchars_per_s: float
    warm_up_ms: float
    official_missing: str | None


def render_report(files: Sequence[Path], num_rounds: int, show: Show) -> Json:
    """What ``--json`` prints. Raises the errors of :func:`bench_texts`."""
    texts = bench_texts(files)
    languages = {language: asdict(_compare(text, num_rounds, show)) for language, text in texts.items()}
    return {**languages, **circumstances(), "rounds": num_rounds}


def circumstances() -> Json:
    """When, on what, and with which releases."""
    return {
        "date": now(),
        "processor": processor(),
        "versions": {"python": python_version(), **installed_versions(*PACKAGES)},
    }


def official_missing() -> str | None:
    """Why the official pipeline cannot run here; None where it can."""
    if find_spec("reportlab") is None or find_spec("pdf2image") is None:
        return "reportlab and pdf2image are not installed: pip install 'glyph-serve[bench]'"
    if shutil.which("pdftoppm") is None:
        return "pdftoppm is not installed: it comes with poppler-utils"
    return None


class OurWay:
    """A document's bytes to its pages' pixels, through the renderer that serves."""

    def __init__(self, text: BenchText) -> None:
        started_at = cpu_s()
        self._renderer = PageRenderer(preset(PRESET_OF[text.language]), LimitConfig(), max_cached_layouts=1)
        self._content = text.text.encode()
        plan = self._renderer.plan(DocumentSource(text.language, self._content))
        self.num_pages = plan.num_pages
        num_bytes = sum(page.width_px * page.height_px for page in plan.pages)
        self.memory = np.zeros(num_bytes, dtype=np.uint8)
        self._copy = np.ones_like(self.memory)
        self.arrays()
        self.warm_up_s = cpu_s() - started_at

    def forget(self) -> None:
        """Makes the renderer lay the text out anew: it remembers one document."""
        self._renderer.plan(WARM_UP)

    def layout(self) -> int:
        self.forget()
        return self._renderer.plan(DocumentSource("text", self._content)).num_pages

    def arrays(self) -> list[np.ndarray]:
        self.forget()
        source = DocumentSource("text", self._content)
        pages = self._renderer.render(source, 0, self._renderer.plan(source).num_pages, OwnedPaper(self.memory))
        return [page.pixels for page in pages]

    def png(self) -> int:
        return sum(len(encode_png(pixels)) for pixels in self.arrays())

    def memcpy(self) -> None:
        np.copyto(self._copy, self.memory)


def _official_num_pages(text: str) -> int:
    from deployments.bench.official_glyph import text_to_images  # needs the extra ``bench``

    with TemporaryDirectory() as folder:
        return len(text_to_images(text, Path(folder)))


def _compare(text: BenchText, num_rounds: int, show: Show) -> LanguageReport:
    show(f"{text.language}: warm-up")
    ours, missing = OurWay(text), official_missing()
    pieces = pieces_of(text.text)
    official_pages: list[int] = []
    contenders = [
        Contender("ours", [ours.arrays]),
        Contender("seed", [partial(render_text_to_image, piece) for piece in pieces]),
        Contender("memcpy", [ours.memcpy]),
        Contender("ours_png", [ours.png]),
        Contender("ours_layout", [ours.layout]),
    ]
    if missing is None:
        runs = [lambda piece=piece: official_pages.append(_official_num_pages(piece)) for piece in pieces]
        contenders.append(Contender("official", runs))
    spent = cpu_in_turns(contenders, num_rounds, lambda name: show(f"{text.language}: {name}"))
    ms = {name: seconds * 1000 for name, seconds in spent.items()}
    official_ms = ms.get("official")
    return LanguageReport(
        text=text.origin,
        chars=len(text.text),
        preset=PRESET_OF[text.language],
        pages=ours.num_pages,
        official_pages=sum(official_pages) // num_rounds or None,
        ours_ms=ms["ours"],
        ours_layout_ms=ms["ours_layout"],
        ours_png_ms=ms["ours_png"],
        memcpy_ms=ms["memcpy"],
        seed_ms=ms["seed"],
        official_ms=official_ms,
        ratio_vs_seed=ms["seed"] / ms["ours"],
        ratio_vs_official=official_ms and official_ms / ms["ours"],
        ratio_vs_official_png=official_ms and official_ms / ms["ours_png"],
        ratio_vs_memcpy=ms["memcpy"] / ms["ours"],
        ours_mchars_per_s=len(text.text) / ms["ours"] / 1000,
        warm_up_ms=ours.warm_up_s * 1000,
        official_missing=missing,
    )


def warnings_of(report: Json) -> list[str]:
    return sorted({report[language]["official_missing"] for language in PRESET_OF} - {None})


def as_lines(report: Json) -> str:
    lines = []
    for language in PRESET_OF:
        of = report[language]
        lines.append(
            f"{language}: {of['chars']:,} characters on {of['pages']} pages in {of['ours_ms']:.1f} ms "
            f"({of['ours_mchars_per_s']:.1f} Mchar/s), with PNG {of['ours_png_ms']:.0f} ms"
        )
        lines.append(f"  seed article: {of['seed_ms']:,.0f} ms, {of['ratio_vs_seed']:.0f} times as much")
        if of["official_ms"] is not None:
            lines.append(
                f"  official Glyph: {of['official_ms']:,.0f} ms, {of['ratio_vs_official']:.0f} times as much, "
                f"{of['ratio_vs_official_png']:.0f} times with our PNG"
            )
        lines.append(f"  memcpy of the pages: {of['memcpy_ms']:.1f} ms, {of['ratio_vs_memcpy']:.2f} times as much")
    return "\n".join(lines) + "\n"
