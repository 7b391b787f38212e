"""Matrix products with weights as they are, or in 8 bits.

FP8 is e4m3 with one scale a row of the weight. Where few tokens come, the product is bound by reading the weight: it
is read in 8 bits and multiplied in the model's dtype. Where many come, the tokens' rows are quantised too, and the
tensor cores multiply in 8 bits.

Shapes: T tokens, N rows and K columns of a weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812

from glyph_core.errors import ModelError
from glyph_core.model.layer_ops import LayerOps

FP8_MULTIPLE = 16  # of a weight's rows and columns, for the tensor cores' FP8
FP8_CAPABILITIES = ((8, 9), (9, 0))  # Ada and Hopper: what it was written and measured for


class Linear(Protocol):
    @property
    def bias(self) -> torch.Tensor | None: ...  # (N,)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(T, K) → (T, N)."""
        ...

    def parts(self, x: torch.Tensor) -> torch.Tensor:
        """(T, N), or (S, T, N) float32 that add up to it with the bias, for a kernel that reads it anyway."""
        ...

    def gated(self, x: torch.Tensor, ops: LayerOps) -> torch.Tensor:
        """SiLU of the product's first half times its second: (T, K) → (T, N / 2). The weight has no bias."""
        ...

    @property
    def num_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DenseLinear:
    weight: torch.Tensor  # (N, K)
    bias: torch.Tensor | None = None  # (N,)
    ops: LayerOps | None = None  # whose products of few rows are faster than the library's

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.ops is not None and self.ops.takes_few(x, self.weight):
            return self.ops.few_rows(x, self.weight, None, self.bias)
        return F.linear(x, self.weight, self.bias)

    def parts(self, x: torch.Tensor) -> torch.Tensor:
        if self.ops is not None and self.ops.takes_few(x, self.weight):
            return self.ops.few_rows_parts(x, self.weight, None, self.bias)
        return self(x)

    def gated(self, x: torch.Tensor, ops: LayerOps) -> torch.Tensor:
        if ops.takes_few(x, self.weight):
            return ops.few_rows_gated(x, self.weight, None)
        return ops.silu_mul(self(x))

    @property
    def num_bytes(self) -> int:
        return self.weight.nbytes + (0 if self.bias is None else self.bias.nbytes)


@dataclass(frozen=True, slots=True)
class Fp8Linear:
    weight: torch.Tensor  # (N, K) float8_e4m3fn
    scale: torch.Tensor  # (N,) float32
    bias: torch.Tensor | None
    ops: LayerOps

    @classmethod
    def quantize(cls, weight: torch.Tensor, bias: torch.Tensor | None, ops: LayerOps) -> Fp8Linear:
        """From ``weight`` (N, K) of any dtype."""
        quantized, scale = ops.quantize_rows(weight.contiguous())
        return cls(quantized, scale[:, 0].contiguous(), bias, ops)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.ops.takes_few(x, self.weight):
            return self.ops.few_rows(x, self.weight, self.scale, self.bias)
        rows, row_scale = self.ops.quantize_rows(x.contiguous())
        if x.is_cuda:
            product: torch.Tensor = torch._scaled_mm(
                rows, self.weight.t(), row_scale, self.scale[None], out_dtype=torch.bfloat16, use_fast_accum=True
            )
        else:
            product = (rows.float() * row_scale) @ (self.weight.float() * self.scale[:, None]).t()
        product = product.to(x.dtype)
        return product if self.bias is None else product + self.bias

    def parts(self, x: torch.Tensor) -> torch.Tensor:
        if self.ops.takes_few(x, self.weight):
            return self.ops.few_rows_parts(x, self.weight, self.scale, self.bias)
        return self(x)

    def gated(self, x: torch.Tensor, ops: LayerOps) -> torch.Tensor:
        if ops.takes_few(x, self.weight):
            return ops.few_rows_gated(x, self.weight, self.scale)
        return ops.silu_mul(self(x))

    @property
    def num_bytes(self) -> int:
        return self.weight.nbytes + self.scale.nbytes + (0 if self.bias is None else self.bias.nbytes)


def make_linear(weight: torch.Tensor, bias: torch.Tensor | None, ops: LayerOps, *, is_fp8: bool) -> Linear:
    """``weight`` (N, K) as it is, or in 8 bits where the tensor cores take its size: multiples of 16."""
    if is_fp8 and not (weight.shape[0] % FP8_MULTIPLE or weight.shape[1] % FP8_MULTIPLE):
        return Fp8Linear.quantize(weight, bias, ops)
    return DenseLinear(weight, bias, ops)


def check_fp8(device: torch.device) -> None:
    """Raises ModelError, with the reason, for a device that FP8 weights don't run on. The CPU computes the same in
    other steps, slowly: what the GPU's result is compared with."""
    if device.type == "cpu":
        return
    if device.type != "cuda":
        raise ModelError(
            f"FP8 weights run on CUDA, and the model is to run on {device.type}; set model.weights to auto"
        )
    capability = torch.cuda.get_device_capability(device)
    if capability not in FP8_CAPABILITIES:
        known = ", ".join(f"sm_{major}{minor}" for major, minor in FP8_CAPABILITIES)
        raise ModelError(
            f"FP8 weights run on {known}, and {torch.cuda.get_device_name(device)} is sm_{capability[0]}{capability[1]}"
            "; set model.weights to auto"
        )
