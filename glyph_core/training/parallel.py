"""Several processes that train one model, a device each: the same weights everywhere, different batches.

Started by ``torchrun``, a process finds its place in the environment; started alone it is the only rank. Gradients go
over the devices' own links; what steers the run (clock, stage, stop) is decided on rank 0 and goes over the hosts, so
that no rank waits for its device to learn it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Plan:
    """What rank 0 has decided for the step to come, and how many answer tokens all ranks bring to it."""

    elapsed_s: float
    stage: int
    is_over: bool
    saves: bool
    evaluates: bool
    num_answer_tokens: int  # of all ranks


class Ranks:
    """This process's place among all, and what they tell one another. With one rank, nothing is sent."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count
        self._hosts: Any = dist.new_group(backend="gloo") if count > 1 else None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def agree(self, plan: Plan) -> Plan:
        """Rank 0's plan, with the sum of all ranks' answer tokens."""
        if self.count == 1:
            return plan
        mine = torch.tensor(
            [plan.elapsed_s, plan.stage, plan.is_over, plan.saves, plan.evaluates, plan.num_answer_tokens],
            dtype=torch.float64,
        )
        rows = [torch.empty_like(mine) for _ in range(self.count)]
        dist.all_gather(rows, mine, group=self._hosts)
        elapsed_s, stage, is_over, saves, evaluates, _ = rows[0].tolist()
        total = int(sum(row[5] for row in rows))
        return Plan(elapsed_s, int(stage), bool(is_over), bool(saves), bool(evaluates), total)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every gradient becomes the mean over the ranks; all ranks must have the same ones."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])

    @torch.no_grad()
    def copy_first(self, module: nn.Module) -> None:
        """All ranks take rank 0's parameters and buffers."""
        if self.count > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)

    @torch.no_grad()
    def are_equal(self, module: nn.Module) -> bool:
        """Whether all ranks hold the same parameters, to the last bit of their sums."""
        sums = torch.stack([parameter.double().sum() for parameter in module.parameters()])
        rows = self.gather(sums.tolist())
        return all(row == rows[0] for row in rows)

    def gather(self, value: Any) -> list[Any]:
        """Each rank's ``value``, on all ranks."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value, group=self._hosts)
        return values


def place_in_environment() -> tuple[int, int, int]:
    """Rank, number of ranks and number on this host, as ``torchrun`` says; alone where it says nothing."""
    return tuple(int(os.environ.get(name, default)) for name, default in  # type: ignore[return-value]
                 (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")))  # fmt: skip


def join(device: torch.device) -> Ranks:
    """Meets the other ranks; after the loader's processes were forked, as CUDA may not be up before."""
    rank, count, _ = place_in_environment()
    if count == 1:
        return Ranks()
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    return Ranks(rank, count)


def leave(ranks: Ranks) -> None:
    if ranks.count > 1:
        dist.destroy_process_group()


def mean_weight(num_mine: int, num_all: int, count: int) -> float:
    """What a rank's mean loss counts for, so that the mean over the ranks is the mean over all answer tokens."""
    return num_mine * count / max(1, num_all)
