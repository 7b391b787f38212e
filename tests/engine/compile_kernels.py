"""Compiles every kernel for a GPU that need not be there, at the 9B's shapes: run by test_kernels_compile.

    python -m tests.engine.compile_kernels 89

prints a JSON object: each kernel's shared memory in bytes. TRITON_INTERPRET must not be set.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from glyph_core.engine.kernels import likeliest, paged, store, turn
from glyph_core.model.kernels import layer, one_row, products

HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM, BLOCK_SIZE = 4096, 13696, 32, 2, 128, 16


def kernels(sm: int) -> dict[str, tuple[Any, dict[str, str], dict[str, object], dict[str, int]]]:
    """Each kernel, the types of its pointers that are not ``*bf16``, its compile-time arguments and options."""
    group = HEADS // KV_HEADS
    tables = dict.fromkeys(("tasks_ptr", "members_ptr", "rows_ptr", "part_starts_ptr", "tables_ptr"), "*i32")
    partial = {"lse_ptr": "*fp32"}
    heads = {"NUM_KV_HEADS": KV_HEADS, "HEAD_DIM": HEAD_DIM}
    found: dict[str, tuple[Any, dict[str, str], dict[str, object], dict[str, int]]] = {
        "write": (store.write_kernel, {"slots_ptr": "*i64"}, {**heads, "WIDTH": 256}, {"num_warps": 1}),
        "rotate_write": (
            store.rotate_write_kernel,
            {"slots_ptr": "*i64", "cos_ptr": "*fp32", "sin_ptr": "*fp32"},
            {"NUM_HEADS": HEADS, **heads, "HALF": 32, "Q_WIDTH": 1024, "KV_WIDTH": 256},
            {"num_warps": 4},
        ),
        "add_rotate_write": (
            store.add_rotate_write_kernel,
            {"slots_ptr": "*i64", **dict.fromkeys(("parts_ptr", "cos_ptr", "sin_ptr"), "*fp32")},
            {"NUM_HEADS": HEADS, **heads, "HALF": 32, "PARTS": 2, "HAS_BIAS": True, "WIDTH": 1024, "KV_WIDTH": 256},
            {"num_warps": 4},
        ),
        **{
            f"turn_write {name}": (
                turn.turn_write_kernel,
                {"slots_ptr": "*i64", **dict.fromkeys(("cos_ptr", "sin_ptr"), "*fp32")}
                | ({"heads_ptr": "*fp32"} if parts else {}),
                {"NUM_HEADS": HEADS, "NUM_KV_HEADS": kv_heads, "HALF": HEAD_DIM // 2, "PARTS": parts}
                | {"HAS_BIAS": has_bias, "HAS_NORMS": has_norms, "TILE": turn.TILE},
                {"num_warps": 4},
            )
            for name, kv_heads, parts, has_bias, has_norms in (
                ("llama", HEADS, 0, False, False),
                ("llama of parts", HEADS, products.SPLITS, False, False),
                ("qwen2 of parts", 4, products.SPLITS, True, False),
                ("qwen3 of parts", 8, products.SPLITS, False, True),
            )
        },
        "rotary": (
            layer.rotary_kernel,
            {
                "positions_ptr": "*i64",
                "axes_ptr": "*i64",
                **dict.fromkeys(("inv_freq_ptr", "cos_ptr", "sin_ptr"), "*fp32"),
            },
            {"HALF": 32, "WIDTH": 32},
            {"num_warps": 1},
        ),
        "likeliest pieces": (
            likeliest.pieces_kernel,
            {"best_ptr": "*fp32", "place_ptr": "*i32", "sum_ptr": "*fp32"},
            {"WIDTH": likeliest.WIDTH},
            {"num_warps": 8},
        ),
        "likeliest": (
            likeliest.whole_kernel,
            {"best_ptr": "*fp32", "place_ptr": "*i32", "sum_ptr": "*fp32", "out_ptr": "*fp64"},
            {"NUM_PIECES": 37, "WIDTH": 64},
            {"num_warps": 1},
        ),
        "merge": (
            paged.merge_kernel,
            partial | tables,
            {"NUM_HEADS": HEADS, "HEAD_DIM": HEAD_DIM, "TILE": 64, "WIDTH": HEAD_DIM},
            {"num_warps": 4},
        ),
        "norm": (layer.norm_kernel, {}, {"SIZE": HIDDEN, "WIDTH": HIDDEN}, {"num_warps": 8}),
        "add_norm": (layer.add_norm_kernel, {}, {"SIZE": HIDDEN, "WIDTH": HIDDEN, "PARTS": 1}, {"num_warps": 8}),
        "add_norm of parts": (
            layer.add_norm_kernel,
            {"x_ptr": "*fp32"},
            {"SIZE": HIDDEN, "WIDTH": HIDDEN, "PARTS": products.SPLITS},
            {"num_warps": 8},
        ),
        "add_norms": (layer.add_norms_kernel, {}, {"SIZE": HIDDEN, "WIDTH": HIDDEN, "PARTS": 1}, {"num_warps": 8}),
        "add_norms of parts": (
            layer.add_norms_kernel,
            {"x_ptr": "*fp32"},
            {"SIZE": HIDDEN, "WIDTH": HIDDEN, "PARTS": products.SPLITS},
            {"num_warps": 8},
        ),
        "rotate": (
            layer.rotate_kernel,
            {"cos_ptr": "*fp32", "sin_ptr": "*fp32"},
            {"NUM_HEADS": HEADS + KV_HEADS, "HEAD_DIM": HEAD_DIM, "HALF": 32, "APART": 1, "WIDTH": 2048},
            {"num_warps": 4},
        ),
        "rotate halves": (
            layer.rotate_kernel,
            {"cos_ptr": "*fp32", "sin_ptr": "*fp32"},
            {"NUM_HEADS": 24, "HEAD_DIM": HEAD_DIM, "HALF": 64, "APART": 64, "WIDTH": 2048},
            {"num_warps": 4},
        ),
        "silu": (layer.silu_kernel, {}, {"SIZE": INTERMEDIATE, "WIDTH": 1024}, {"num_warps": 4}),
        "quantize": (
            layer.quantize_kernel,
            {"out_ptr": "*fp8e4nv", "scale_ptr": "*fp32"},
            {"SIZE": INTERMEDIATE, "WIDTH": 16384},
            {"num_warps": 8},
        ),
    }
    for kv_dtype in ("bf16", "fp8e4nv"):
        cache = {"k_cache_ptr": f"*{kv_dtype}", "v_cache_ptr": f"*{kv_dtype}"}
        for members in (1, paged.max_members(group)):
            rows = max(paged.MIN_ROWS, triton.next_power_of_2(members * group))
            tile, num_warps, num_stages = paged.attend_shape(rows, HEAD_DIM, 2, is_large=sm >= 90)
            shape = {**heads, "GROUP": group, "BLOCK_SIZE": BLOCK_SIZE, "ROWS": rows}
            shape |= {"IN_HALF": kv_dtype != "bf16", "SEEKS_RUNS": members > 1}
            options = {"num_warps": num_warps, "num_stages": num_stages}
            found[f"attend {kv_dtype} {rows}"] = (
                paged.attend_kernel,
                partial | tables | cache | {"scale": "fp32"},
                shape | {"TILE": tile},
                options,
            )
    found["sum"] = (
        products.sum_kernel,
        {"parts_ptr": "*fp32"},
        {"N": HIDDEN, "HAS_BIAS": True, "SPLITS": products.SPLITS, "WIDTH": 1024},
        {"num_warps": 4},
    )
    for weight in ("bf16", "fp8e4nv"):
        product = {"N": HIDDEN, "K": INTERMEDIATE, "HAS_SCALE": weight != "bf16", "HAS_BIAS": False}
        types = {"weight_ptr": f"*{weight}", "scale_ptr": "*fp32"}
        is_fp8, rows = weight != "bf16", 16 if weight != "bf16" else products.MAX_FEW_ROWS
        found[f"few_rows {weight}"] = (
            products.few_rows_kernel,
            types,
            product
            | {"IN_HALF": is_fp8, "WEIGHT_FIRST": not is_fp8, "SPLITS": products.SPLITS, "ROWS": rows}
            | {"TILE_N": 32 if is_fp8 else 64, "TILE_K": 256 if is_fp8 else 128, "LINES": 8},
            {"num_warps": 4, "num_stages": 4},
        )
        found[f"few_rows_gated {weight}"] = (
            products.few_rows_gated_kernel,
            types,
            {"N": INTERMEDIATE, "K": HIDDEN, "HAS_SCALE": is_fp8, "IN_HALF": is_fp8, "ROWS": rows}
            | {"TILE_N": 32 if is_fp8 else 128, "TILE_K": 256 if is_fp8 else 64, "LINES": 8},
            {"num_warps": 4, "num_stages": 4},
        )
        found[f"one_row_gated {weight}"] = (
            one_row.one_row_gated_kernel,
            types,
            {"N": INTERMEDIATE, "K": HIDDEN, "HAS_SCALE": is_fp8, "IS_EVEN": True, "TILE_N": 2, "TILE_K": 4096},
            {"num_warps": 8},
        )
        found[f"one_row {weight}"] = (
            one_row.one_row_kernel,
            types,
            product | {"IS_EVEN": False, "TILE_N": 2, "TILE_K": 4096},
            {"num_warps": 8},
        )
    return found


def shared_memory(
    kernel: Any, types: dict[str, str], constants: dict[str, object], options: dict[str, int], sm: int
) -> int:
    constants = {**constants, "CHAINED": sm >= 90}
    options = {**options, "launch_pdl": sm >= 90}
    signature = {
        name: "constexpr" if name in constants else types.get(name, "*bf16" if name.endswith("_ptr") else "i32")
        for name in kernel.arg_names
    }
    signature |= {"eps": "fp32"} if "eps" in signature else {}
    # As at run time, where Triton sees that tensors begin, and their rows are apart, at multiples of 16.
    aligned = [i for i, (name, kind) in enumerate(signature.items()) if kind.startswith("*") or "stride" in name]
    attrs = {(i,): [["tt.divisibility", 16]] for i in aligned}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attrs)
    return int(triton.compile(source, target=GPUTarget("cuda", sm, 32), options=options).metadata.shared)


if __name__ == "__main__":
    json.dump(
        {name: shared_memory(*parts, int(sys.argv[1])) for name, parts in kernels(int(sys.argv[1])).items()}, sys.stdout
    )
