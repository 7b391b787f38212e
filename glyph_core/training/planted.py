"""Facts planted in documents that nobody generated: excerpts of real prose, contracts and Chinese books as filler.

What is planted is the generator's own, form lines and sentences about somebody or something, of held-out words and
names; the filler was never seen in training. Nothing is asked that the filler itself might answer: a key or an entity
that it mentions is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from glyph_core.config import RenderConfig
from glyph_core.errors import ConfigError
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.training.blocks import form_line
from glyph_core.training.documents import MAX_ANSWER_BYTES, MAX_QUESTION_BYTES, Draft
from glyph_core.training.facts import Fact, Question, QuestionKind
from glyph_core.training.material import Material
from glyph_core.training.values import make_value
from glyph_core.types import DocumentSource

MAX_FILLER_CHARS = 400_000  # of one file
FACTS_PER_PAGE = (2, 6)
SENTENCE_END = re.compile(r"(?<=[a-z\d][.!?]) +(?=[A-Z\"(])")
FOLDERS = {"prose": ("long_text",), "contracts": ("contracts",), "real": ("long_text", "contracts")}
CHINESE_SHARE = 0.2  # of a file's characters, over which it is a Chinese one
_HAN = re.compile(r"[\u4e00-\u9fff]")
# Labels that the books and laws used as filler don't have as lines of a form, and the kind of value they take
CHINESE_LABELS = {
    "合同编号": "code", "发票号码": "code", "设备序列号": "code", "项目负责人": "person", "联系人": "person",
    "签署日期": "date", "交货日期": "date", "合同总金额": "money", "押金": "money", "电子邮箱": "email",
    "联系电话": "phone", "会议时间": "time", "仓库代码": "code", "保修期": "quantity",
}  # fmt: skip


@dataclass(frozen=True)
class PlantedDocument:
    text: str
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Filler:
    """Real texts, each as its lines; a line may be a whole paragraph."""

    texts: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, folder: Path, sort: str) -> Filler:
        """``sort`` is prose, contracts, real (both) or chinese. Raises ConfigError where ``folder`` has none."""
        names = FOLDERS.get(sort, FOLDERS["prose"])
        files = sorted(path for name in names for path in (folder / name).glob("*") if path.suffix in (".txt", ".md"))
        texts = [path.read_text(encoding="utf-8", errors="ignore")[:MAX_FILLER_CHARS] for path in files]
        chosen = [text for text in texts if (_chinese_share(text) > CHINESE_SHARE) == (sort == "chinese")]
        lines = [tuple(line.rstrip() for line in text.replace("\t", "    ").splitlines()) for text in chosen]
        if not any(sum(map(len, text)) > 5_000 for text in lines):
            raise ConfigError(
                f"{folder} holds no text for the filler {sort!r}: put .txt files into {' or '.join(names)} there"
            )
        return cls(tuple(text for text in lines if sum(map(len, text)) > 5_000))

    def excerpt(self, material: Material, max_chars: int) -> list[str]:
        """Lines from a random place of a random text, about ``max_chars`` of them, cut at a sentence's end."""
        text = material.pick(self.texts)
        start = material.number(0, len(text) - 1)
        lines: list[str] = []
        for line in text[start:] + text[:start]:
            room = max_chars - sum(len(taken) + 1 for taken in lines)
            if room < 40:
                break
            lines.append(line if len(line) <= room else line[:room].rsplit(" ", 1)[0])
        return lines


def plant(
    material: Material, filler: Filler, config: RenderConfig, num_pages: int, *, chinese: bool
) -> PlantedDocument:
    """A document of about ``num_pages`` pages with some facts on each."""
    columns = (config.page_width_px - 2 * config.margin_px) // (config.cell_width_px or 6)
    lines_per_page = (config.page_height_px - 2 * config.margin_px) // config.line_height_px
    num_lines = int(lines_per_page * (num_pages - material.random.uniform(0.05, 0.6)))
    excerpt = filler.excerpt(material, num_lines * columns)
    known = "\n".join(excerpt).lower()
    planted = list(_chinese_facts(material, known) if chinese else _facts(material, known, columns, num_pages))
    filling = _fit(excerpt, num_lines - 2 * len(planted), columns // 2 if chinese else columns)
    lines = [SENTENCE_END.split(line) for line in filling]  # each line as its sentences
    for text, _, is_sentence in planted:
        (_insert_sentence if is_sentence else _insert_line)(material, lines, text)
    text = "\n".join(" ".join(line) for line in lines).strip("\n")
    questions = (fact.question(material) for _, fact, _ in planted)
    return PlantedDocument(text, tuple(question for question in questions if _is_fair(question)))


def num_pages_of(document: PlantedDocument, renderer: PageRenderer) -> int:
    return renderer.plan(DocumentSource("planted.txt", document.text.encode())).num_pages


Planted = tuple[str, Fact, bool]  # what is written, what can be asked, and whether it is a sentence


def _facts(material: Material, known: str, columns: int, num_pages: int) -> Iterator[Planted]:
    draft = Draft(material, columns, max_lines=10_000)
    for _ in range(num_pages * material.number(*FACTS_PER_PAGE)):
        if material.chance(0.5):
            num_facts, num_lines = len(draft.facts), len(draft.lines)
            form_line(draft)
            added = [fact for fact in draft.facts[num_facts:] if fact.kind is not QuestionKind.PEOPLE]
            if added and list(draft.keys)[-1] not in known:
                yield "\n".join(draft.lines[num_lines:]), added[0], False
        else:
            relation, attribute = draft.narrator.relation(), draft.narrator.attribute()
            entity = draft.narrator.entity(relation.about)
            if entity.lower() not in known and draft.new_entity(entity):
                statement = draft.narrator.state(relation, attribute, entity)
                yield statement.sentence, Fact(QuestionKind.NEEDLE, _asks(statement.asks), statement.value), True


def _chinese_facts(material: Material, known: str) -> Iterator[Planted]:
    labels = [label for label in CHINESE_LABELS if label not in known]
    for label in material.random.sample(labels, min(len(labels), material.number(6, 12))):
        value = make_value(material, CHINESE_LABELS[label])
        ask = _asks((f"{label}是什么？", f"{label}？", f"请问{label}是多少？"))
        yield f"{label}：{value}", Fact(QuestionKind.KEY_VALUE, ask, value), False


def _asks(asks: Sequence[str]):  # type: ignore[no-untyped-def]
    return lambda material: material.pick(asks)


def _is_fair(question: Question) -> bool:
    return (
        len(question.answer.encode()) <= MAX_ANSWER_BYTES
        and len(question.text.encode()) <= MAX_QUESTION_BYTES
        and question.answer.lower() not in question.text.lower()
    )


def _fit(lines: Sequence[str], num_lines: int, columns: int) -> list[str]:
    """As many of ``lines`` as make ``num_lines`` on the page, about."""
    fitting: list[str] = []
    for line in lines:
        num_lines -= max(1, -(-len(line) // max(1, columns - 3)))
        if num_lines < 0:
            break
        fitting.append(line)
    return fitting or list(lines[:1])


def _insert_line(material: Material, lines: list[list[str]], text: str) -> None:
    lines.insert(material.number(0, len(lines)), [text])


def _insert_sentence(material: Material, lines: list[list[str]], text: str) -> None:
    """Between two sentences of a paragraph; where there is no such place, as a paragraph of its own."""
    paragraphs = [line for line in lines if len(line) > 1]
    if paragraphs:
        chosen = material.pick(paragraphs)
        chosen.insert(material.number(1, len(chosen) - 1), text)
    else:
        _insert_line(material, lines, text)


def _chinese_share(text: str) -> float:
    sample = text[2_000:12_000] or text
    return len(_HAN.findall(sample)) / max(1, len(sample))
