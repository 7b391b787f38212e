"""What glyph-mini can answer, at one click. The documents are those of the repository's folder of examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "examples"  # a link to it, so that a wheel brings them along


@dataclass(frozen=True, slots=True)
class Example:
    file: str
    question: str

    @property
    def path(self) -> Path:
        return FOLDER / self.file


EXAMPLES = (
    Example("service_agreement.md", "What is the Governing Law?"),
    Example("service_agreement.md", "What is the Notice Period?"),
    Example("field_station_handbook.txt", "Who is the First Aid Officer?"),
)


def shown_examples() -> tuple[Example, ...]:
    """Those whose documents were installed along."""
    return tuple(example for example in EXAMPLES if example.path.exists())


COMPARED = ("service_agreement.md", "service_agreement_renewed.md")
