"""A tiny random glm4v checkpoint, and transformers' own answer to compare ours with.

The weights are drawn so that greedy decoding wanders: token embeddings are small beside what the blocks add, and
attention is sharp, so that the whole history decides what comes next. Over seeds 0 to 4 and four sets of pages, 32
tokens held at least 25 different ones, and no two sets of pages gave the same 32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, Glm4vConfig, Glm4vForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

SPECIAL_TOKENS = (
    "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "<|endoftext|>", "<|image|>",
    "<|video|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>", "<think>",
    "</think>", "<answer>", "</answer>",
)  # fmt: skip
SPECIAL_IDS = {token: 256 + i for i, token in enumerate(SPECIAL_TOKENS)}
VOCAB_SIZE = 288
IMAGE = "<|image|>"
EMBEDDING_STD, SHARPNESS = 0.3, 3.0  # of scatter
CHAT_TEMPLATE = Path(__file__).parent.parent / "glyph_core" / "checkpoints" / "glyph_mini" / "chat_template.jinja"


def make_tiny_glm4v(folder: Path, seed: int = 0, *, max_model_len: int = 4096, dtype: str = "float32") -> Path:
    """Writes a whole checkpoint to ``folder`` and returns it: about 0.2 M weights, 2 layers, a byte-level tokenizer."""
    config = _config(max_model_len)
    model = Glm4vForConditionalGeneration(config)
    scatter(model, seed)
    generation = model.generation_config
    generation.eos_token_id = [SPECIAL_IDS["<|endoftext|>"], SPECIAL_IDS["<|user|>"]]
    generation.pad_token_id = SPECIAL_IDS["<|endoftext|>"]
    generation.do_sample = False
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE.read_text())
    processor = {"image_processor": json.loads(Glm4vImageProcessorPil().to_json_string())}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    (folder / "glyph_config.json").write_text(json.dumps({"render_preset": "mini"}))
    return folder


def random_pages(sizes: Sequence[tuple[int, int]], seed: int = 0) -> list[np.ndarray]:
    """Gray pages of these (width, height) sizes, coarse noise: no two alike."""
    random = np.random.default_rng(seed)
    pages = []
    for width, height in sizes:
        coarse = random.integers(0, 256, (-(-height // 7), -(-width // 7)), dtype=np.uint8)
        pages.append(np.ascontiguousarray(coarse.repeat(7, 0).repeat(7, 1)[:height, :width]))
    return pages


def question_about(num_pages: int, question: str) -> list[dict[str, Any]]:
    """One user turn, pages first, as transformers' chat templates take it."""
    content = [{"type": "image"}] * num_pages + [{"type": "text", "text": question}]
    return [{"role": "user", "content": content}]


def hf_inputs(folder: Path, pages: Sequence[np.ndarray], messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What ``Glm4vProcessor`` would give ``Glm4vForConditionalGeneration`` (it needs torchvision, so not itself)."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
    images: dict[str, Any] = {}
    if pages:
        processor = Glm4vImageProcessorPil.from_pretrained(folder)
        rgb = [np.repeat(page[..., None], 3, -1) if page.ndim == 2 else page for page in pages]
        images = dict(processor(images=rgb, return_tensors="pt", input_data_format="channels_last"))
    head, *rest = text.split(IMAGE)
    assert len(rest) == len(pages)
    for (_, height, width), piece in zip(images.get("image_grid_thw", torch.empty(0, 3)).tolist(), rest, strict=True):
        head += IMAGE * (height * width // 4) + piece
    token_ids = torch.tensor([tokenizer.encode(head, add_special_tokens=False)])
    image_tokens = (token_ids == SPECIAL_IDS[IMAGE]).int()
    return {"input_ids": token_ids, "mm_token_type_ids": image_tokens, **images}


def hf_generate(
    folder: Path,
    pages: Sequence[np.ndarray],
    question: str | Sequence[Mapping[str, Any]],
    max_new_tokens: int = 32,
    *,
    ignore_eos: bool = True,
) -> list[int]:
    """The ground truth: ids that transformers' ``generate`` gives greedily in float32 on the CPU.

    ``question`` is the text after the pages, or whole messages as a chat template takes them.
    """
    messages = question_about(len(pages), question) if isinstance(question, str) else question
    model = Glm4vForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    if ignore_eos:
        model.generation_config.eos_token_id = None
    inputs = hf_inputs(folder, pages, messages)
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    generated: list[int] = output[0, inputs["input_ids"].shape[1] :].tolist()
    return generated


def _config(max_model_len: int) -> Glm4vConfig:
    rope = {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5, "mrope_section": [1, 1, 2]}
    text = {
        "vocab_size": VOCAB_SIZE, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": max_model_len,
        "rope_parameters": rope, "eos_token_id": SPECIAL_IDS["<|endoftext|>"], "pad_token_id": None,
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 64,
        "image_size": 56, "patch_size": 14,
    }  # fmt: skip
    names = {
        "image_token_id": IMAGE, "video_token_id": "<|video|>", "image_start_token_id": "<|begin_of_image|>",
        "image_end_token_id": "<|end_of_image|>", "video_start_token_id": "<|begin_of_video|>",
        "video_end_token_id": "<|end_of_video|>",
    }  # fmt: skip
    return Glm4vConfig(
        text_config=text, vision_config=vision, **{key: SPECIAL_IDS[token] for key, token in names.items()}
    )


def scatter(model: torch.nn.Module, seed: int) -> None:
    """Draws every weight: matrices with variance 1 / fan-in, small token embeddings, sharp attention; norms are 1."""
    random = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            std = EMBEDDING_STD if "embed_tokens" in name else weight[0].numel() ** -0.5
            sharper = SHARPNESS if "q_proj" in name or "k_proj" in name else 1.0
            torch.nn.init.normal_(weight, std=std * sharper, generator=random)
        elif name.endswith(("q_norm.weight", "k_norm.weight")):
            torch.nn.init.constant_(weight, SHARPNESS)  # it takes away what sharpens the products before it
        elif name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.1, generator=random)


def byte_tokenizer(
    tokens: Sequence[str] = SPECIAL_TOKENS, *, end_token: str = "<|endoftext|>", bos_token: str | None = None
) -> PreTrainedTokenizerFast:
    """One token a byte, GPT-2's letters for bytes, and special ``tokens``, GLM's unless told."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letter = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    tokenizer = Tokenizer(models.BPE(vocab={letter[byte]: byte for byte in range(256)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(tokens))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos_token, eos_token=end_token, pad_token=end_token, model_max_length=4096
    )
