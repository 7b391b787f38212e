"""Loading one part of a checkpoint: the language model without the vision tower, or the other way round.

transformers has no such option, but its loader fills whatever parameters a model has after ``__init__``. So we load
a subclass whose ``__init__`` drops the unwanted children. It keeps the class's name because the loader looks its
key conversions up by that name.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig
from transformers.utils import logging as transformers_logging

from glyph_core.errors import ConfigError, ModelError
from glyph_core.model.checkpoint import Checkpoint, read_json
from glyph_core.model.shards import INDEX, Keeps

logger = logging.getLogger(__name__)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MAX_NAMED = 3  # weights that an error message names


def load_part(
    base: Any,
    path: Path,
    *,
    dropped: Sequence[str],
    dtype: torch.dtype,
    device: torch.device,
    attention: str,
    keeps: Keeps = lambda name: True,
) -> Any:
    """An instance of the transformers class ``base`` from the folder ``path``, without the ``dropped`` children.

    ``dropped`` are dotted names of modules (``model.visual``); they are None in the result, and their weights are
    not read. Files of which ``keeps`` names no weight need not be there. Parameters need no gradient. Raises ModelError
    naming a weight that is missing or of a wrong shape.
    """
    config = load_config(path)
    try:
        with _quiet_loader(), _only(path, keeps) as folder:
            model, report = _part_class(base, dropped).from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                attn_implementation=attention,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # they are in the report: we refuse them by name
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the weights in {path} cannot be loaded: {error}") from error
    _refuse(path, "lack", sorted(report["missing_keys"]))
    _refuse(path, "have the wrong shape for", sorted(name for name, *_ in report["mismatched_keys"]))
    return model.to(device).eval().requires_grad_(False)


def make_random_part(
    base: Any, path: Path, *, dropped: Sequence[str], dtype: torch.dtype, device: torch.device, attention: str
) -> Any:
    """As :func:`load_part`, with weights that are drawn on the device, for measuring. Norms are 1, biases 0, matrices
    of variance 1 / columns."""
    config = load_config(path)
    part = _part_class(base, dropped)
    small = deepcopy(config)
    for half in (small.text_config, small.vision_config):
        setattr(half, "depth" if hasattr(half, "depth") else "num_hidden_layers", 1)
        half.intermediate_size = 8  # buffers don't depend on it, nor on the vocabulary
    small.text_config.vocab_size, small.text_config.pad_token_id = 8, None
    with torch.device(device):
        buffers = dict(part._from_config(small).named_buffers())  # rotary frequencies and the like: no layer's own
    with torch.device("meta"):
        model = part._from_config(config, dtype=dtype, attn_implementation=attention)
    for name, weight in list(model.named_parameters()):
        drawn = torch.empty(weight.shape, dtype=dtype, device=device)
        if weight.dim() > 1:
            drawn.normal_(std=weight[0].numel() ** -0.5)
        else:
            drawn.fill_(0.0 if name.endswith("bias") else 1.0)
        _put(model, name, torch.nn.Parameter(drawn, requires_grad=False))
    for name, _ in list(model.named_buffers()):
        _put(model, name, buffers[name])
    return model.eval()


def load_config(path: Path) -> Any:
    """transformers' configuration object of the folder ``path``; ModelError where it can't be made."""
    try:
        return AutoConfig.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise ModelError(f"{path / 'config.json'} is no configuration that transformers knows: {error}") from error


def is_fused(*, weights: str, kernels: str, why_not: str | None = None) -> bool:
    """Whether a model is made of our fused parts rather than of transformers' modules; ``auto``: it is, unless there is
    a reason ``why_not``. Raises ConfigError for what is asked for and only they can do."""
    if weights == "fp8" and kernels == "transformers":
        raise ConfigError("model.weights is fp8, which transformers' modules don't run; set model.kernels to auto")
    if why_not is None or kernels == "transformers":
        return kernels != "transformers"
    for option, value, other in (("weights", weights, "fp8"), ("kernels", kernels, "fused")):
        if value == other:
            raise ConfigError(
                f"model.{option} is {value}, and this language model runs on transformers' modules only: {why_not}; "
                f"set model.{option} to auto"
            )
    logger.warning(slower_modules(why_not))
    return False


def slower_modules(why_not: str) -> str:
    """Says that a language model is not made of our fused parts, and why."""
    return f"the language model runs on transformers' modules, which are slower: {why_not}"


def pick_device(name: str) -> torch.device:
    """``auto``: cuda where there is one, else cpu. Raises ModelError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"there is no device {name!r}; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"device {name!r} was asked for, but torch sees no CUDA device here; use auto or cpu")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto``: float32 on the CPU, else bfloat16; otherwise the torch dtype of that name. Raises ModelError."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if name not in DTYPES:
        raise ModelError(f"no model runs in the dtype {name!r}; use auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def pick_vision_dtype(name: str, device: torch.device, checkpoint: Checkpoint) -> torch.dtype:
    """As :func:`pick_dtype`, but ``auto`` is bfloat16 also on CPUs that multiply it in hardware, where the checkpoint
    is stored in it: a page takes less than half the time, and its features change by what rounding its weights to
    bfloat16 changed in them. The language model stays in float32, so that an answer does not depend on how its prompt
    was cut."""
    if name == "auto" and device.type == "cpu" and checkpoint.dtype == "bfloat16" and _has_bfloat16_units():
        return torch.bfloat16
    return pick_dtype(name, device)


def _has_bfloat16_units() -> bool:
    """AMX tiles for bfloat16: Intel Xeons from Sapphire Rapids on."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def _part_class(base: Any, dropped: Sequence[str]) -> Any:
    def __init__(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - a class body by hand
        base.__init__(self, config, *args, **kwargs)
        for name in dropped:
            parent, _, child = name.rpartition(".")
            setattr(self.get_submodule(parent), child, None)
        kept = {name for name, _ in self.named_parameters(remove_duplicate=False)}
        self.all_tied_weights_keys = {
            target: source for target, source in self.all_tied_weights_keys.items() if {target, source} <= kept
        }

    ignored = [rf"^{name.replace('.', chr(92) + '.')}\." for name in dropped]
    body = {"__init__": __init__, "__module__": base.__module__, "_keys_to_ignore_on_load_unexpected": ignored}
    return type(base.__name__, (base,), body)


@contextmanager
def _only(path: Path, keeps: Keeps) -> Iterator[Path]:
    """A folder with those of a checkpoint's shards that are needed, as links: transformers opens all that the index
    names."""
    index = read_json(path / INDEX)
    if "weight_map" not in index:
        yield path
        return
    kept = {name: file for name, file in index["weight_map"].items() if keeps(name)}
    with TemporaryDirectory(prefix="glyph-part-") as temporary:
        folder = Path(temporary)
        (folder / INDEX).write_text(json.dumps({**index, "weight_map": kept}))
        small = {file.name for file in path.glob("*.json")} - {INDEX}
        for file in small | set(kept.values()):
            (folder / file).symlink_to((path / file).resolve())
        yield folder


def _put(model: torch.nn.Module, name: str, tensor: torch.Tensor) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, tensor)


def _refuse(path: Path, what: str, names: Sequence[str]) -> None:
    if not names:
        return
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    raise ModelError(f"the weights in {path} {what} {', '.join(names[:MAX_NAMED])}{more}; get the checkpoint again")


@contextmanager
def _quiet_loader() -> Iterator[None]:
    """No progress bar and no table of skipped weights: both belong to the part that was left out on purpose."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
