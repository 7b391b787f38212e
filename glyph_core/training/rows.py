"""The rows of glyph-mini's table: what is asked of which pages, and how much of it must be right.

All rows are made of held-out words and names, and unless they say otherwise of held-out formats.
"""

from __future__ import annotations

from dataclasses import dataclass

from glyph_core.training.curriculum import PageSpec
from glyph_core.training.facts import Question, QuestionKind
from glyph_core.training.text_sources import Split

K = QuestionKind
_LOOKUPS = (K.KEY_VALUE, K.NEEDLE, K.IDENTIFIER, K.PEOPLE, K.NEAR_DUPLICATE)


@dataclass(frozen=True)
class Row:
    """``goal`` is the least share of right answers, or the most where ``is_control``; None: to be reported.

    Words and names are held out in every row; ``formats`` and ``wording`` (how questions are put) say what else is.
    """

    name: str
    spec: PageSpec
    kinds: tuple[QuestionKind, ...]
    goal: float | None
    min_answer_chars: int = 1
    is_control: bool = False  # each question is put to another document's pages
    jpeg: bool = False  # pages go through JPEG before they are read
    scan: bool = False  # pages are shifted, blurred, scaled, grey and noisy, and go through JPEG
    blank: bool = False  # the pages are white, of the document's sizes
    inverted: bool = False
    filler: str | None = None  # real text, of a sort that planted.Filler reads, in place of generated documents
    formats: Split = Split.HELD_OUT
    wording: Split = Split.TRAIN

    def counts(self, question: Question) -> bool:
        return question.kind in self.kinds and len(question.answer) >= self.min_answer_chars


def _spec(name: str, styles: dict[str, float], look: str = "mono", sort: str = "fact", **sizes: object) -> PageSpec:
    values: dict[str, object] = {"columns": (10, 17), "rows": (8, 31), "num_questions": 16, "plain": 1.0, "scans": 0.0}
    return PageSpec.model_validate(
        {"name": name, "styles": styles, "looks": {look: 1.0}, "mix": {sort: 1.0}, **values, **sizes}
    )


_ANY = {"mixed": 4.0, "form": 3.0, "prose": 3.0}
ROWS: tuple[Row, ...] = (
    Row("mono, key-value", _spec("kv", {"form": 1}), (K.KEY_VALUE,), 0.985),
    Row("mono, needle", _spec("needle", {"prose": 1}), (K.NEEDLE,), 0.985),
    Row("DejaVu Sans 12", _spec("sans", _ANY, "sans"), _LOOKUPS, 0.96),
    Row("2-4 pages", _spec("pages4", _ANY, pages=(2, 4), columns=(14, 17), rows=(14, 31)), _LOOKUPS, 0.95),
    Row("8 pages", _spec("pages8", _ANY, pages=(8, 8), columns=(17, 17), rows=(31, 31)), _LOOKUPS, 0.90),
    Row("absent", _spec("absent", _ANY, sort="absent"), (K.ABSENT,), 0.97),
    Row("wrong page (control)", _spec("control", _ANY), _LOOKUPS, 0.01, is_control=True),
    Row("people's words", _spec("people", _ANY), (K.PEOPLE,), 0.90),
    Row("people's words, unknown", _spec("unknown", _ANY), (K.PEOPLE,), None, wording=Split.HELD_OUT),
    Row("mono, key-value, known formats", _spec("known", {"form": 1}), (K.KEY_VALUE,), None, formats=Split.TRAIN),
    Row("near-duplicates", _spec("near", {"similar": 3, "prose": 1}), (K.NEAR_DUPLICATE,), 0.95),
    Row("identifiers, 16-36", _spec("ids", {"form": 1, "mixed": 1, "similar": 1}), (K.IDENTIFIER,), 0.90, 16),
    Row("tables and lists", _spec("tables", {"table": 1, "list": 1}), (K.TABLE, K.LIST), 0.93),
    Row("several values", _spec("several", {"several": 1}), (K.SEVERAL,), None),
    Row("answers of 41-80", _spec("long", _ANY), tuple(k for k in K if k is not K.CONTINUE), None, 41),
    Row("inverted", _spec("inverted", _ANY), _LOOKUPS, None, inverted=True),
    Row("JPEG 60", _spec("jpeg", _ANY), _LOOKUPS, None, jpeg=True),
    Row("dense 9 px", _spec("dense", _ANY, "dense", columns=(16, 21), rows=(10, 30)), _LOOKUPS, None),
    Row("scan-like", _spec("scan", _ANY, scans=1.0, plain=0.0), _LOOKUPS, None, scan=True),
)  # fmt: skip


def _full(name: str, *pages: int) -> PageSpec:
    return _spec(name, _ANY, pages=pages, columns=(17, 17), rows=(31, 31))


_PLANTED = (K.KEY_VALUE, K.NEEDLE, K.IDENTIFIER)
PIPELINE_ROWS: tuple[Row, ...] = (  # those that only the pipeline can be asked
    Row("blank page (control)", _spec("blank", _ANY), _LOOKUPS, 0.01, is_control=True, blank=True),
    Row("real prose, 1-4 pages", _full("prose", 1, 4), _PLANTED, 0.95, filler="prose"),
    Row("real contracts, 1-4 pages", _full("law", 1, 4), _PLANTED, 0.95, filler="contracts"),
    Row("real text, 8 pages", _full("real8", 8, 8), _PLANTED, 0.95, filler="real"),
    Row("Chinese pages", _full("chinese", 1, 1), _PLANTED, None, filler="chinese"),
)  # fmt: skip
