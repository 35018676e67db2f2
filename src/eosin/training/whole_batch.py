"""Batch norm and dropout of a whole batch, in a process that has only some of its rows.

A mode of torch: inside it, a batch norm in training takes mean and variance over the rows of all
processes, and random numbers with one row a patch are drawn for the whole batch, of which the
process keeps its own. The network itself is not changed, and a run folder does not record it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from eosin.training.parallel import watched_collective


class WholeBatch(TorchFunctionMode):
    """The mode; made for each pass through the network.

    rows: of the whole batch; share: which of them this process has. The first dimension of what
    is dropped or drawn must be the share's length or a multiple of it (windows of a patch). With
    an empty share the process sends one row through that counts nothing, as the others wait for it.
    """

    def __init__(self, rows: int, share: slice) -> None:
        super().__init__()
        self.rows = rows
        self.share = share
        self._replaced: dict[Callable[..., Any], Callable[..., Any]] = {
            functional.batch_norm: partial(_batch_norm, share.stop > share.start),
            functional.dropout: self._dropout,
            torch.rand: self._rand,
            Tensor.bernoulli_: self._bernoulli,
        }

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return self._replaced.get(func, func)(*args, **(kwargs or {}))

    def _place(self, shape: Sequence[int]) -> tuple[tuple[int, ...], slice] | None:
        """The shape of the whole batch's tensor, and the rows of this process in it.

        None where the first dimension has nothing to do with patches.
        """
        start, mine = self.share.start, max(1, self.share.stop - self.share.start)
        if not shape or not shape[0] or shape[0] % mine:
            return None
        times = shape[0] // mine
        part = slice(start * times, (start + mine) * times)
        return (self.rows * times, *shape[1:]), part

    def _dropout(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        place = self._place(input.shape) if training and p > 0 else None
        if place is None:
            return functional.dropout(input, p, training, inplace)
        shape, part = place
        # Zeros and 1 / (1 - p), drawn as torch draws them for the whole batch.
        kept = functional.dropout(_empty(input, shape).fill_(1), p, True)[part]
        return input.mul_(kept) if inplace else input * kept

    def _rand(self, *size: Any, **options: Any) -> Tensor:
        shape = list(size[0]) if size and isinstance(size[0], list | tuple) else list(size)
        place = None if options.get("generator") else self._place(shape)
        if place is None:
            return torch.rand(*size, **options)
        return torch.rand(place[0], **options)[place[1]]

    def _bernoulli(self, input: Tensor, *args: Any, **options: Any) -> Tensor:
        plain = not any(isinstance(value, Tensor) for value in (*args, *options.values()))
        place = self._place(input.shape) if plain and not options.get("generator") else None
        if place is None:
            return input.bernoulli_(*args, **options)
        return input.copy_(_empty(input, place[0]).bernoulli_(*args, **options)[place[1]])


def _empty(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """An empty tensor in the memory order of another, in which random numbers are drawn."""
    last = torch.channels_last
    if like.ndim == 4 and not like.is_contiguous() and like.is_contiguous(memory_format=last):
        return like.new_empty(shape).to(memory_format=last)
    return like.new_empty(shape)


def _batch_norm(
    counts: bool,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return functional.batch_norm(
            input, running_mean, running_var, weight, bias, False, momentum, eps
        )
    result: Tensor
    result, mean, variance, count = _SharedNorm.apply(input, weight, bias, eps, counts)
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            unbiased = variance * (count / (count - 1).clamp(min=1))
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    return result


class _SharedNorm(torch.autograd.Function):
    """Batch norm over the rows of all processes, however many each of them has.

    counts: False where the rows of this process are there only for company.

    Values are gathered as count, mean and squared deviation and put together as by Chan et al.
    1979, "Updating formulae and a pairwise algorithm for computing sample variances".
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        counts: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels = input.shape[1]
        zeros = input.new_zeros(channels, dtype=torch.float32)
        mine = input.new_zeros(2 * channels + 1, dtype=torch.float32)
        if counts:
            count = input.numel() // channels
            # The kernel of torch's own batch norm; its running statistics go nowhere.
            mean, variance = torch.batch_norm_update_stats(input, zeros, zeros + 1, 0.0)
            mine = torch.cat([mean, variance * count, mean.new_full((1,), count)])
        gathered = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        with watched_collective():
            dist.all_gather(gathered, mine)
        means, spreads, numbers = torch.split(
            torch.stack(gathered).double(), [channels, channels, 1], 1
        )
        total = numbers.sum()
        if total < 2:
            raise ValueError("batch norm cannot learn from a single value a channel")
        mean = (means * numbers).sum(0) / total
        variance = (spreads.sum(0) + (numbers * (means - mean).square()).sum(0)) / total
        single = (mean.float(), variance.float())
        result = functional.batch_norm(input, *single, weight, bias, False, 0.0, eps)
        ctx.save_for_backward(input, weight, *single)
        ctx.eps, ctx.total, ctx.counts, ctx.biased = eps, total, counts, bias is not None
        ctx.mark_non_differentiable(*single, total)
        return result, *single, total

    @staticmethod
    def backward(
        ctx: Any, gradient: Tensor, *unused: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        input, weight, mean, variance = ctx.saved_tensors
        deviation = torch.rsqrt(variance + ctx.eps)
        # As if the batch ended with these rows: torch's kernel takes their own sums away.
        result, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, input, weight, None, None, mean, deviation, True, ctx.eps, [True, True, True]
        )
        sums = torch.cat([to_weight, to_bias]).float()
        total = sums.clone()
        with watched_collective():
            dist.all_reduce(total)
        parts = (None if weight is None else to_weight, to_bias if ctx.biased else None)
        if not ctx.counts:
            return torch.zeros_like(input), *parts, None, None
        # What the sums of all rows take away instead, linear in the input.
        count = input.numel() // input.shape[1]
        scale = deviation if weight is None else weight.float() * deviation
        slope, level = ((sums / count - total / ctx.total).float() * scale.repeat(2)).chunk(2)
        more = functional.batch_norm(input, mean, variance, slope, level, False, 0.0, ctx.eps)
        return result.add_(more), *parts, None, None
