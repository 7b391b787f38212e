"""Tiny random checkpoints of every family, and transformers' own answers to compare ours with.

Drawn as :mod:`tests.tiny_checkpoint` draws glm4v's. The chat templates are in the style of the published ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import processors
from transformers import AutoTokenizer
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of
from tests import tiny_checkpoint
from tests.tiny_checkpoint import VOCAB_SIZE, byte_tokenizer, question_about, scatter

TILE = 56  # px, the side of the tiny CLIP's picture
PINPOINTS = [[TILE * rows, TILE * columns] for rows in range(1, 7) for columns in range(1, 7)]
LLAVA_TOKENS = ("<unk>", "<s>", "</s>", "<image>", "<pad>")
QWEN_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip
LLAVA_TEMPLATE = """{% for message in messages %}{% if message['role'] != 'system' %}\
{{ message['role'].upper() + ': '}}{% endif %}\
{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}\
{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}\
{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""
QWEN_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}\
{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>\
{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@dataclass(frozen=True)
class TinyFamily:
    architecture: str
    config: Callable[[int], Mapping[str, Any]]  # max_model_len → config.json
    tokens: tuple[str, ...]
    image_token: str
    end_token: str
    template: str
    processor: Callable[[], Any]
    bos_token: str | None = None

    @property
    def model_class(self) -> Any:
        return getattr(transformers, self.architecture)


def token_id(family: TinyFamily, token: str) -> int:
    return 256 + family.tokens.index(token)


def make_tiny(folder: Path, name: str, seed: int = 0, *, max_model_len: int = 4096, **changes: Any) -> Path:
    """Writes a whole checkpoint of the family ``name`` to ``folder``; ``changes`` go into its config.json."""
    if name == "glm4v":
        return tiny_checkpoint.make_tiny_glm4v(folder, seed, max_model_len=max_model_len)
    family = FAMILIES[name]
    end = token_id(family, family.end_token)
    config = family.model_class.config_class(**{**family.config(max_model_len), **changes})
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # of vectors such as llava_next's image_newline, which scatter leaves alone
        model = family.model_class(config)
    scatter(model, seed)
    model.generation_config = transformers.GenerationConfig(eos_token_id=end, pad_token_id=end, do_sample=False)
    model.save_pretrained(folder)
    tokenizer = byte_tokenizer(family.tokens, end_token=family.end_token, bos_token=family.bos_token)
    if family.bos_token:
        bos = (family.bos_token, token_id(family, family.bos_token))
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos[0]} $A", special_tokens=[bos]
        )
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(family.template)
    (folder / "preprocessor_config.json").write_text(family.processor().to_json_string())
    (folder / "glyph_config.json").write_text(json.dumps({"render_preset": "mini"}))
    return folder


def hf_inputs(folder: Path, pages: Sequence[np.ndarray], messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the family's processor would give its model (processors need torchvision, so not themselves)."""
    config = json.loads((folder / "config.json").read_text())
    name = config["model_type"]
    if name == "glm4v":
        return tiny_checkpoint.hf_inputs(folder, pages, messages)
    family = FAMILIES[name]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
    counts, images = _images(folder, name, config, pages) if pages else ([], {})
    head, *rest = text.split(family.image_token)
    assert len(rest) == len(pages)
    for count, piece in zip(counts, rest, strict=True):
        head += family.image_token * count + piece
    token_ids = torch.tensor([tokenizer.encode(head, add_special_tokens=family.bos_token is not None)])
    if name.startswith("qwen"):
        images["mm_token_type_ids"] = (token_ids == token_id(family, family.image_token)).int()
    # Said, for generate would take the prompt's own ends of turns for padding.
    return {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids), **images}


def hf_generate(
    folder: Path,
    pages: Sequence[np.ndarray],
    question: str | Sequence[Mapping[str, Any]],
    max_new_tokens: int = 32,
    **config_changes: Any,
) -> list[int]:
    """The ground truth: ids that transformers' ``generate`` gives greedily in float32 on the CPU."""
    messages = question_about(len(pages), question) if isinstance(question, str) else question
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, architecture).from_pretrained(folder, dtype=torch.float32, **config_changes).eval()
    model.generation_config.eos_token_id = None
    inputs = hf_inputs(folder, pages, messages)
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    generated: list[int] = output[0, inputs["input_ids"].shape[1] :].tolist()
    return generated


def _images(
    folder: Path, name: str, config: Mapping[str, Any], pages: Sequence[np.ndarray]
) -> tuple[list[int], dict[str, Any]]:
    """Placeholder tokens of each page, and the images' part of the inputs."""
    rgb = [np.repeat(page[..., None], 3, -1) if page.ndim == 2 else page for page in pages]
    options = {"return_tensors": "pt", "input_data_format": "channels_last"}
    if name.startswith("qwen"):
        images = dict(Qwen2VLImageProcessorPil.from_pretrained(folder)(images=rgb, **options))
        return [int(grid.prod()) // 4 for grid in images["image_grid_thw"]], images
    if name == "llava":  # each tile is a picture to it; which tiles there are is ours to say
        per_tile = (TILE // 14) ** 2
        cut = [tile_pictures(folder, page) for page in rgb]
        processor = LlavaImageProcessorPil.from_pretrained(folder)
        images = dict(processor(images=[tile for tiles in cut for tile in tiles], **options))
        return [len(tiles) * per_tile for tiles in cut], images
    processor = LlavaNextImageProcessorPil.from_pretrained(folder)
    images = dict(processor(images=rgb, **options))
    counter = transformers.LlavaNextProcessor(
        processor, AutoTokenizer.from_pretrained(folder), patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )  # fmt: skip
    side = TILE // 14
    counts = [counter._get_number_of_features(*page.shape[:2], TILE, TILE) - 1 for page in rgb]
    assert all(count > side**2 for count in counts)
    return counts, images


def tile_pictures(folder: Path, page: np.ndarray) -> list[np.ndarray]:
    """A page (height, width, 3) cut into squares, in reading order, with PIL: fitted into its tiles, the rest white."""
    from PIL import Image

    look = family_of(resolve_checkpoint(str(folder))).geometry.look  # type: ignore[attr-defined]
    rows = max(1, int(np.ceil(page.shape[0] * look.min_scale / TILE)))
    columns = max(1, int(np.ceil(page.shape[1] * look.min_scale / TILE)))
    height, width = rows * TILE, columns * TILE
    scale = min(width / page.shape[1], height / page.shape[0])
    size = min(width, int(np.ceil(page.shape[1] * scale))), min(height, int(np.ceil(page.shape[0] * scale)))
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(Image.fromarray(page).resize(size, Image.Resampling.BICUBIC), (0, 0))
    whole = np.asarray(canvas)
    return [
        whole[top : top + TILE, left : left + TILE] for top in range(0, height, TILE) for left in range(0, width, TILE)
    ]


def _llava(max_model_len: int) -> dict[str, Any]:
    text = {
        "model_type": "llama", "vocab_size": VOCAB_SIZE, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
        "max_position_embeddings": max_model_len, "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
        "bos_token_id": 257, "eos_token_id": 258, "pad_token_id": None,
    }  # fmt: skip
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
        "num_attention_heads": 2, "image_size": TILE, "patch_size": 14, "projection_dim": 32,
    }  # fmt: skip
    return {
        "text_config": transformers.LlamaConfig(**text), "vision_config": transformers.CLIPVisionConfig(**vision),
        "image_token_id": 259, "image_seq_length": 16,
    }  # fmt: skip


def _llava_next(max_model_len: int) -> dict[str, Any]:
    return {**_llava(max_model_len), "image_grid_pinpoints": PINPOINTS}


def _qwen_text(max_model_len: int, rope: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": VOCAB_SIZE, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": max_model_len,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, **rope}, "eos_token_id": 258,
        "bos_token_id": 256, "pad_token_id": None,
    }  # fmt: skip


QWEN_IDS = {
    "vision_start_token_id": 259, "vision_end_token_id": 260, "image_token_id": 261, "video_token_id": 262,
}  # fmt: skip


def _qwen2_5_vl(max_model_len: int) -> dict[str, Any]:
    vision = {
        "hidden_size": 32, "depth": 2, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 64,
        "window_size": 56, "fullatt_block_indexes": [1],
    }  # fmt: skip
    text = _qwen_text(max_model_len, {"mrope_section": [2, 3, 3]})
    return {"text_config": text, "vision_config": vision, **QWEN_IDS}


def _qwen3_vl(max_model_len: int) -> dict[str, Any]:
    vision = {
        "hidden_size": 32, "depth": 3, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 64,
        "patch_size": 16, "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 16,
    }  # fmt: skip
    text = _qwen_text(max_model_len, {"mrope_section": [2, 3, 3], "mrope_interleaved": True}) | {"head_dim": 16}
    return {"text_config": text, "vision_config": vision, **QWEN_IDS}


FAMILIES = {
    "llava": TinyFamily(
        "LlavaForConditionalGeneration", _llava, LLAVA_TOKENS, "<image>", "</s>", LLAVA_TEMPLATE,
        lambda: LlavaImageProcessorPil(size={"shortest_edge": TILE}, crop_size={"height": TILE, "width": TILE}),
        bos_token="<s>",
    ),
    "llava_next": TinyFamily(
        "LlavaNextForConditionalGeneration", _llava_next, LLAVA_TOKENS, "<image>", "</s>", LLAVA_TEMPLATE,
        lambda: LlavaNextImageProcessorPil(
            size={"shortest_edge": TILE}, crop_size={"height": TILE, "width": TILE}, image_grid_pinpoints=PINPOINTS
        ),
        bos_token="<s>",
    ),
    "qwen2_5_vl": TinyFamily(
        "Qwen2_5_VLForConditionalGeneration", _qwen2_5_vl, QWEN_TOKENS, "<|image_pad|>", "<|im_end|>", QWEN_TEMPLATE,
        Qwen2VLImageProcessorPil,
    ),
    "qwen3_vl": TinyFamily(
        "Qwen3VLForConditionalGeneration", _qwen3_vl, QWEN_TOKENS, "<|image_pad|>", "<|im_end|>", QWEN_TEMPLATE,
        lambda: Qwen2VLImageProcessorPil(patch_size=16, size={"shortest_edge": 64 * 64, "longest_edge": 1024 * 1024}),
    ),
}  # fmt: skip
ALL_FAMILIES = ("glm4v", *FAMILIES)
