"""What one stage of training does."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from glyph_core.config import Config, RenderConfig

StageName = Literal["align", "instruct"]
Part = Literal["projector", "vision", "text"]
DEFAULT_PARTS: dict[StageName, tuple[Part, ...]] = {
    "align": ("projector",),
    "instruct": ("projector", "vision", "text"),
}


class StageConfig(Config):
    """``align``: transcribe a rendered page, which teaches the projector, as in LLaVA's first stage. ``instruct``:
    answer questions about the pages of a document, end to end."""

    stage: StageName
    model: str = Field(description="the checkpoint that training begins with")
    data: Path | None = Field(None, description="JSONL of documents, questions and answers; see samples.JsonlSamples")
    text: Path | None = Field(None, description="what scripts/collect_text.py wrote: documents are generated from it")
    trains: tuple[Part, ...] | None = Field(None, description="parts that learn; None: align the projector, else all")
    render: RenderConfig | None = Field(None, description="None: the preset that the checkpoint names")
    steps: int = Field(1000, ge=1)
    batch_size: int = Field(32, ge=1, description="examples of a step, of all ranks together")
    micro_batch: int = Field(8, ge=1, description="examples of one forward")
    max_answer_tokens: int = Field(512, ge=1, description="longer answers and transcriptions are cut, and not ended")
    rate: float = Field(1e-4, gt=0, description="highest learning rate of AdamW")
    warmup_steps: int = Field(30, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    lora_rank: int | None = Field(None, ge=1, description="the language model learns in so many directions (peft)")
    gradient_checkpointing: bool = False
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="of weights that don't learn, and of products; auto: bfloat16 on a GPU, else float32"
    )
    seed: int = 1
    save_every: int = Field(500, ge=1, description="steps")
    device: str = "auto"

    @property
    def learning_parts(self) -> tuple[Part, ...]:
        return self.trains or DEFAULT_PARTS[self.stage]
