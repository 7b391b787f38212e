"""glyph-mini's shape, its first weights, and a forward pass over packed batches that equals transformers' own.

The parameters live in transformers' ``Glm4vForConditionalGeneration``; only the order of computation is ours: all
pages, prefixes and questions of a batch lie in one row of tokens without padding, a page is read once however many
questions are asked about it, and pieces between the attentions are compiled.

Suffixes: N visual tokens, 4N patches, T rows (prefixes, then questions), D hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from transformers import Glm4vConfig, Glm4vForConditionalGeneration

from glyph_core.config import Config
from glyph_core.training import layers
from glyph_core.training.attention import Segments, attend, attend_asked
from glyph_core.training.charset import CHARSET
from glyph_core.training.vocabulary import ID_OF, VOCAB_SIZE

IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the image processor; red, green, blue
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)
NUM_CLASSES = len(CHARSET) + 1


class ModelShape(Config):
    """Sizes of the towers; the defaults are glyph-mini's, 14.9 M parameters."""

    vision_hidden: int = 256
    vision_depth: int = 6
    vision_heads: int = 4
    vision_intermediate: int = 768
    hidden: int = 384
    depth: int = 6
    heads: int = 6
    kv_heads: int = 2
    intermediate: int = 1024
    rope_theta: float = Field(8.0, description="small: pages are read by near neighbours, not over long distances")
    mrope_section: tuple[int, int, int] = (4, 6, 6)
    max_positions: int = 8192


def make_config(shape: ModelShape) -> Glm4vConfig:
    rope = {"rope_type": "default", "rope_theta": shape.rope_theta, "partial_rotary_factor": 0.5,
            "mrope_section": list(shape.mrope_section)}  # fmt: skip
    return Glm4vConfig(
        text_config={
            "vocab_size": VOCAB_SIZE, "hidden_size": shape.hidden, "intermediate_size": shape.intermediate,
            "num_hidden_layers": shape.depth, "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads, "max_position_embeddings": shape.max_positions,
            "rms_norm_eps": 1e-5, "rope_parameters": rope, "pad_token_id": None,
            "eos_token_id": ID_OF["<|endoftext|>"],
        },
        vision_config={
            "depth": shape.vision_depth, "hidden_size": shape.vision_hidden, "num_heads": shape.vision_heads,
            "image_size": 336, "patch_size": 14, "out_hidden_size": shape.hidden,
            "intermediate_size": shape.vision_intermediate, "attention_bias": False, "rms_norm_eps": 1e-5,
        },
        image_token_id=ID_OF["<|image|>"], video_token_id=ID_OF["<|video|>"],
        image_start_token_id=ID_OF["<|begin_of_image|>"], image_end_token_id=ID_OF["<|end_of_image|>"],
        video_start_token_id=ID_OF["<|begin_of_video|>"], video_end_token_id=ID_OF["<|end_of_video|>"],
        tie_word_embeddings=False,
    )  # fmt: skip


def initialise(model: Glm4vForConditionalGeneration) -> None:
    """First weights, in place, from torch's generator. Token embeddings are large (std 1): a byte must stay what it
    is through the residual stream; branches after a norm start small."""
    for name, parameter in model.named_parameters():
        fan_in = parameter[0].numel() if parameter.ndim >= 2 else 1
        if "position_embedding" in name:
            continue
        if "embed_tokens" in name:
            nn.init.normal_(parameter, std=1.0)
        elif "lm_head" in name:
            nn.init.normal_(parameter, std=0.02)
        elif parameter.ndim >= 2:
            is_residual = "visual.blocks" in name and name.endswith(("attn.proj.weight", "down_proj.weight"))
            nn.init.normal_(parameter, std=fan_in**-0.5 * (0.3 if is_residual else 1.0))
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            is_branch = "post_self_attn_layernorm" in name or "post_mlp_layernorm" in name
            nn.init.constant_(parameter, 0.3 if is_branch else 1.0)
    visual = model.model.visual
    out = visual.merger.down_proj.weight
    nn.init.normal_(out, std=2 * out.shape[1] ** -0.5)
    table = visual.embeddings.position_embedding.weight
    table.data.copy_(_sinusoids(round(table.shape[0] ** 0.5), table.shape[1]))
    table.requires_grad_(False)  # its interpolation is a constant of each page size then, and costs no backward pass


def _sinusoids(side: int, width: int) -> Tensor:
    """(side * side, width): sines and cosines of row and column."""
    quarter = width // 4
    frequency = 1.5 * torch.exp(-math.log(30.0) * torch.arange(quarter) / quarter)
    row, column = (axis.reshape(-1, 1) * frequency for axis in torch.meshgrid(
        torch.arange(side).float(), torch.arange(side).float(), indexing="ij"))  # fmt: skip
    return torch.cat([row.sin(), row.cos(), column.sin(), column.cos()], 1) * 0.3


class PackedReader(nn.Module):
    """The model over packed batches, with a throw-away head that reads characters off the visual tokens."""

    def __init__(
        self, model: Glm4vForConditionalGeneration, num_slots: int, *, dtype: torch.dtype, compiled: bool
    ) -> None:
        super().__init__()
        self.model = model
        self.dtype = dtype
        self.num_slots = num_slots
        self.glyph_head = nn.Linear(model.config.text_config.hidden_size, num_slots * NUM_CLASSES)
        nn.init.normal_(self.glyph_head.weight, std=0.02)
        nn.init.zeros_(self.glyph_head.bias)
        wrap: Callable[[Any], Any] = (lambda f: torch.compile(f, dynamic=True)) if compiled else (lambda f: f)
        pieces = (layers.vision_in, layers.vision_out, layers.merge, layers.text_in, layers.text_out, layers.norm)
        self._compiled = {piece.__name__: wrap(piece) for piece in pieces}
        self._plain = {piece.__name__: piece for piece in pieces}
        self._pieces: dict[str, Any] = self._compiled
        self._page_constants: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def compile_pieces(self, enabled: bool) -> None:
        """Evaluation without gradients runs the plain pieces: other shapes and modes would compile anew."""
        self._pieces = self._compiled if enabled else self._plain

    def see(self, pictures: Tensor, segments: Segments, grids: list[tuple[int, int]]) -> Tensor:
        """pictures (N, 28, 28), brightness in 0..1; ``grids``: (columns, rows) of tokens of each page → (N, D)."""
        visual = self.model.model.visual
        config = self.model.config.vision_config
        x = self._patch_embed(pictures)
        constants = [self._constants_of(columns, rows, pictures.device) for columns, rows in grids]
        x = x + torch.cat([embedding for embedding, _ in constants])
        angles = torch.cat([angle for _, angle in constants])[:, None]
        cos, sin = angles.cos(), angles.sin()
        head_size, eps = config.hidden_size // config.num_heads, config.rms_norm_eps
        for block in visual.blocks:
            q, k, v = self._pieces["vision_in"](x, block.norm1.weight, block.attn.qkv.weight, cos, sin, head_size, eps)
            mlp = block.mlp
            x = self._pieces["vision_out"](
                x, attend(q, k, v, segments, causal=False), block.attn.proj.weight, block.norm2.weight,
                mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight, eps,
            )  # fmt: skip
        x = self._pieces["norm"](x, visual.post_layernorm.weight, eps)
        down = visual.downsample.weight  # (D, vision hidden, 2, 2)
        x = layers.linear(
            x.view(len(pictures), -1), down.permute(0, 2, 3, 1).reshape(len(down), -1), visual.downsample.bias
        )
        merger = visual.merger
        return cast("Tensor", self._pieces["merge"](
            x, merger.proj.weight, merger.post_projection_norm.weight, merger.post_projection_norm.bias,
            merger.gate_proj.weight, merger.up_proj.weight, merger.down_proj.weight,
        ))  # fmt: skip

    def _patch_embed(self, pictures: Tensor) -> Tensor:
        """(N, 28, 28) → (4N, vision hidden): gray pages, so that the processor's mean and deviation and the sum over
        three channels and two frames fold into one matrix."""
        visual = self.model.model.visual
        mean = torch.tensor(IMAGE_MEAN, device=pictures.device).view(1, 3, 1, 1)
        std = torch.tensor(IMAGE_STD, device=pictures.device).view(1, 3, 1, 1)
        kernel = visual.patch_embed.proj.weight.sum(2)  # (hidden, 3, 14, 14)
        gray = (kernel / std).sum(1).flatten(1)
        bias = visual.patch_embed.proj.bias - (kernel * (mean / std)).sum((1, 2, 3))
        patches = pictures.view(-1, 2, 14, 2, 14).transpose(2, 3).reshape(-1, 196).to(self.dtype)
        x = layers.linear(patches, gray, bias)
        return cast("Tensor", self._pieces["norm"](
            x, visual.post_conv_layernorm.weight, self.model.config.vision_config.rms_norm_eps))  # fmt: skip

    @torch.no_grad()
    def _constants_of(self, columns: int, rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """What depends on a page's size alone: its position embedding (4n, vision hidden), in the working dtype, and
        its rotary angles (4n, head size), patches in the order of tokens."""
        if (columns, rows) not in self._page_constants:
            visual = self.model.model.visual
            row, column = torch.meshgrid(
                torch.arange(2 * rows, device=device), torch.arange(2 * columns, device=device), indexing="ij"
            )
            in_tokens = [axis.reshape(rows, 2, columns, 2).transpose(1, 2).flatten() for axis in (row, column)]
            head_size = visual.config.hidden_size // visual.config.num_heads
            rotation = torch.arange(0, head_size // 2, 2, device=device).float() / (head_size // 2)
            inverse = visual.config.rope_parameters["rope_theta"] ** -rotation
            angles = torch.cat([axis[:, None] * inverse for axis in in_tokens], -1).repeat(1, 2)
            embedding = layers.interpolate(
                visual.embeddings.position_embedding.weight, in_tokens[0], in_tokens[1], 2 * rows, 2 * columns
            )
            self._page_constants[columns, rows] = embedding.to(self.dtype), angles
        return self._page_constants[columns, rows]

    def embed(self, text_ids: Tensor) -> Tensor:
        """(S,) → (S, D). A product with one-hot rows: its backward pass beats a scatter into 288 rows by far."""
        table: Tensor = self.model.model.language_model.embed_tokens.weight.to(self.dtype)
        one_hot: Tensor = functional.one_hot(text_ids.long(), len(table)).to(self.dtype)
        return one_hot @ table

    def read(self, x: Tensor, positions: Tensor, prefixes: Segments, asked: Segments, questions: Segments) -> Tensor:
        """x (T, D), positions (3, T) → last hidden states of the questions' rows."""
        language = self.model.model.language_model
        config = self.model.config.text_config
        head_size, eps = config.hidden_size // config.num_attention_heads, config.rms_norm_eps
        cos, sin, rotated = self._rotary(positions)
        for layer in language.layers:
            attn = layer.self_attn
            q, k, v = self._pieces["text_in"](
                x, layer.input_layernorm.weight, attn.q_proj.weight, attn.q_proj.bias, attn.k_proj.weight,
                attn.k_proj.bias, attn.v_proj.weight, attn.v_proj.bias, cos, sin, head_size, rotated, eps,
            )  # fmt: skip
            x = self._pieces["text_out"](
                x, attend_asked(q, k, v, prefixes, asked, questions), attn.o_proj.weight,
                layer.post_self_attn_layernorm.weight, layer.post_attention_layernorm.weight,
                layer.mlp.gate_up_proj.weight, layer.mlp.down_proj.weight, layer.post_mlp_layernorm.weight, eps,
            )  # fmt: skip
        return cast("Tensor", self._pieces["norm"](x[prefixes.num_rows :], language.norm.weight, eps))

    def _rotary(self, positions: Tensor) -> tuple[Tensor, Tensor, int]:
        """(3, T) → cos and sin (T, 1, head size), and how many dimensions of a head turn: each pair of those belongs
        to time, row or column."""
        config = self.model.config.text_config
        rope = config.rope_parameters
        head_size = config.hidden_size // config.num_attention_heads
        rotated = int(head_size * rope["partial_rotary_factor"])
        exponent = torch.arange(0, rotated, 2, device=positions.device).float() / rotated
        angles = positions[..., None].float() * rope["rope_theta"] ** -exponent
        axes = angles.split(list(rope["mrope_section"]), -1)
        turned = torch.cat([axis[i] for i, axis in enumerate(axes)], -1).repeat_interleave(2, -1)
        angle = functional.pad(turned, (0, head_size - rotated))[:, None]  # angle 0: stays as it is
        return angle.cos(), angle.sin(), rotated
