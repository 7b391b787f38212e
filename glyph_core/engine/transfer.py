"""Between host and device without waiting."""

from __future__ import annotations

import numpy as np
import torch


def to_device(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """``values`` on ``device``. On CUDA through page-locked memory, which PyTorch keeps and hands out again once the
    copy is done: from other memory the copy would wait for all that the device still has to do."""
    return _page_locked(values, device).to(device, non_blocking=True)


def copy_to(target: torch.Tensor, values: np.ndarray) -> None:
    """``values`` into ``target``, as :func:`to_device` does it."""
    target.copy_(_page_locked(values, target.device), non_blocking=True)


def _page_locked(values: np.ndarray, device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(values)
    return tensor.pin_memory() if device.type == "cuda" else tensor


class Fetch:
    """The values of a tensor as they are now, on their way to the host."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if tensor.is_cuda:
            self._values = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._values.copy_(tensor, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._values = tensor.clone()

    def wait(self) -> torch.Tensor:
        if self._event is not None:
            self._event.synchronize()
        return self._values
