"""Compiling the network of a run with ``torch.compile``: one kernel for many, and on a GPU one CUDA graph a step.

Compiled kernels round otherwise than PyTorch's own, so a run says from its beginning to its end whether it is compiled.
It is not where shapes change, where several processes share a batch, where no compiler works, or where the same batch
does not give the same bits twice: then the run goes on as it would without, and says why.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from training.recipe import Recipe

#: What runs once with a batch and leaves gradients: (module) -> values to be compared.
Try = Callable[[nn.Module], torch.Tensor]


def compile_options(device: torch.device) -> dict[str, Any]:
    """Arguments of ``torch.compile``: CUDA graphs on a GPU, where starting kernels is what costs time."""
    return {"mode": "reduce-overhead"} if device.type == "cuda" else {}


def why_not(recipe: Recipe, *, world_size: int) -> str:
    """Why a run cannot be compiled whatever the machine; empty where it can."""
    if world_size > 1:
        return "several processes share every batch"
    if recipe.starting_size_fraction < 1:
        return "the images grow (starting_size_fraction)"
    if recipe.head_only_epochs:
        return "only the head learns at first (head_only_epochs)"
    return ""


def compiled(module: nn.Module, device: torch.device, attempt: Try) -> tuple[nn.Module, str]:
    """A module as ``torch.compile`` makes it, or itself with the reason.

    Parameters
    ----------
    module : nn.Module
        On the device, in training mode. Weights, running statistics and gradients are as before afterwards.
    device : torch.device
    attempt : callable
        Runs a module on a batch, forwards and backwards, always from the same seed; gives what it computed.
    """
    try:
        made = cast(nn.Module, torch.compile(module, dynamic=False, **compile_options(device)))
        first, second = (_tried(made, module, attempt) for _ in range(2))
    except Exception as error:  # compilers fail with anything; the run goes on without
        torch.compiler.reset()
        return module, f"the compiler failed: {' '.join(str(error).split())[:200]}"
    if not all(torch.equal(one, other) for one, other in zip(first, second, strict=True)):
        torch.compiler.reset()
        return module, "compiled, the same batch does not give the same bits twice"
    return made, ""


def _tried(made: nn.Module, module: nn.Module, attempt: Try) -> list[torch.Tensor]:
    """Values and gradients of one attempt; the module is put back as it was."""
    before = copy.deepcopy(module.state_dict())
    try:
        values = attempt(made).detach().clone()
        return [values, *(weight.grad.clone() for weight in module.parameters() if weight.grad is not None)]
    finally:
        module.load_state_dict(before)
        module.zero_grad(set_to_none=True)
