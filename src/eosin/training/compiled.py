"""Steps on a GPU that never wait for the host: one is recorded and replayed.

Patches are on the device. Row numbers, draws, learning rates and weights of the average of the next
64 steps go there in one copy, and a counter on the device has the number of the step. So every step
is the same list of operations on the same memory: it runs a few times as it is, is recorded as a
CUDA graph, and from then on the host only starts the replay.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eosin.config import Recipe
from eosin.memory import out_of_memory
from eosin.training.draws import of_step
from eosin.training.epoch import PlainEpoch
from eosin.training.machine import Machine
from eosin.training.on_device import DeviceAugment
from eosin.training.step import Step, dropout_seed, first_line

#: Steps whose numbers are moved together.
BLOCK = 64
#: Steps taken as they are before one is recorded: kernels are chosen and memory laid out in them.
WARM_UP = 3

#: Takes an operation, runs nothing, and returns what replays it.
Recorder = Callable[[Callable[[], None]], Callable[[], None]]


def compiling(recipe: Recipe, machine: Machine) -> bool:
    """Whether kernels are fused by torch.compile, according to the recipe's ``compile``.

    >>> from eosin.training.machine import choose_machine
    >>> compiling(Recipe(compile="on"), choose_machine("fp32"))
    True
    """
    if recipe.compile == "auto":
        return machine.device.type == "cuda" and importlib.util.find_spec("triton") is not None
    return recipe.compile == "on"


def compile_loss(step: Step, *, backend: str = "inductor", fullgraph: bool = False) -> None:
    """Run network and loss of a step compiled; where that fails, the step warns and continues."""
    # Compiled code is kept by function, and a second network of the process would be taken for a
    # change of the first; after a few changes torch gives up.
    torch.compiler.reset()
    fast = torch.compile(step.loss_of, backend=backend, fullgraph=fullgraph, dynamic=False)

    def loss_of(patches: Tensor, labels: Tensor, targets: list[Tensor]) -> Tensor:
        with warnings.catch_warnings():
            # A recommendation to compute less exactly, which is the recipe's to decide.
            warnings.filterwarnings("ignore", message="TensorFloat32")
            return fast(patches, labels, targets)

    step.loss_of = loss_of


@dataclass(eq=False)
class DeviceEpoch(PlainEpoch):
    """The steps of an epoch on the device where the patches are.

    recorder: by default a CUDA graph, where the device has them and the recipe's ``compile`` is
    not "off". The optimizer of ``step`` is made ``on_device``.
    """

    recorder: Recorder | None = None

    def __post_init__(self) -> None:
        batches = self.batches
        assert isinstance(batches.patches, Tensor), "recorded steps read patches on the device"
        self.recipe = self.step.recipe
        self.device = batches.patches.device
        self._size = (batches.patches.shape[1], batches.patches.shape[2])
        on_gpu = self.device.type == "cuda"
        if self.recorder is None and on_gpu and self.recipe.compile != "off":
            self.recorder = cuda_graph
        self._replay: Callable[[], None] | None = None
        self._taken = 0
        self._state: tuple[object, ...] = ()
        self._numbers: dict[str, Tensor] = {}
        self._at = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._loss = torch.zeros((), device=self.device)
        rest = len(batches.labels) % batches.batch_size
        self._augments = {
            count: DeviceAugment(batches.patches, self.recipe, count)
            for count in {batches.batch_size, rest or batches.batch_size}
        }
        self._stream: Any = torch.cuda.Stream(self.device) if on_gpu else None  # type: ignore[no-untyped-call]

    @property
    def recorded(self) -> bool:
        """Whether steps are replayed by now."""
        return self._replay is not None

    def steps(self, epoch: int, *, start: int = 0) -> Iterator[Tensor]:
        """Take the steps of an epoch from ``start`` on; after each, its loss, float32 [].

        The loss is overwritten by the next step.
        """
        batches = self.batches
        order = batches.order(epoch)
        full = len(batches.labels) // batches.batch_size
        self._look_again()
        for first in range(start, full, BLOCK):
            block = range(first, min(first + BLOCK, full))
            self._place(self._drawn(order, epoch, block, batches.batch_size))
            for number in block:
                self._take(dropout_seed(self.recipe, epoch, number))
                yield self._loss
        if start < batches.steps and full < batches.steps:
            yield self._rest(order, epoch, full)

    # Numbers

    def _drawn(self, order: Tensor, epoch: int, steps: range, count: int) -> dict[str, Tensor]:
        """All numbers that the steps need, by name: [S, ...] each, on the processor."""
        each = [of_step(self.recipe, count, self._size, epoch=epoch, step=step) for step in steps]
        numbers = {name: torch.stack([one[name] for one in each]) for name in each[0]}
        first = steps.start * self.batches.batch_size
        numbers["rows"] = order[first : first + len(steps) * count].view(len(steps), count)
        done = [(epoch - 1) * self.batches.steps + number for number in steps]
        numbers["rate"] = torch.tensor([self.rate(number) for number in done])
        if self.average is not None:
            numbers["weight"] = torch.tensor([self.average.weight(number) for number in done])
        return numbers

    def _place(self, drawn: Mapping[str, Tensor]) -> None:
        """Put the numbers of a block where the recorded step reads them, at the first of them."""
        for name, value in drawn.items():
            if name not in self._numbers:
                shape = (BLOCK, *value.shape[1:])
                self._numbers[name] = torch.zeros(shape, dtype=value.dtype, device=self.device)
            # From pinned memory the copy is queued behind the steps, and the host draws on.
            self._numbers[name][: len(value)].copy_(self._pinned(value), non_blocking=True)
        self._at.zero_()

    def _pinned(self, value: Tensor) -> Tensor:
        return value.pin_memory() if self.device.type == "cuda" else value

    # Steps

    def _take(self, seed: int) -> None:
        if self._replay is not None:
            torch.manual_seed(seed)
            self._replay()
            return
        with on_stream(self._stream), tuned():
            self._work(self._augments[self.batches.batch_size], self._numbers, self._at, seed)
        self._taken += 1
        if self.recorder is not None and self._taken == WARM_UP:
            self._record(self.recorder)

    def _work(
        self, augment: DeviceAugment, numbers: Mapping[str, Tensor], at: Tensor, seed: int | None
    ) -> None:
        """One step, from row numbers to weights; the host learns nothing from it."""
        step, batches = self.step, self.batches
        now = {name: value.index_select(0, at).squeeze(0) for name, value in numbers.items()}
        rows = now["rows"]
        labels = batches.labels.index_select(0, rows)
        soft = None if self.soft is None else self.soft.index_select(0, rows)
        patches, targets = augment.blend(augment(rows, now), step.targets(labels, soft), now)
        loss = step.learn(patches, labels, targets, seed=seed)
        step.optimizer.set_rate(now["rate"])
        step.optimizer.step()
        if self.average is not None:
            self.average.take_in(now["weight"])
        self._loss.copy_(loss)
        at.add_(1)

    def _rest(self, order: Tensor, epoch: int, number: int) -> Tensor:
        """The last, smaller batch of an epoch, which has a shape of its own."""
        count = len(self.batches.labels) - number * self.batches.batch_size
        drawn = self._drawn(order, epoch, range(number, number + 1), count)
        numbers = {
            name: self._pinned(value).to(self.device, non_blocking=True)
            for name, value in drawn.items()
        }
        seed = dropout_seed(self.recipe, epoch, number)
        with self.step.plainly():
            self._work(self._augments[count], numbers, torch.zeros_like(self._at), seed)
        return self._loss

    # Recording

    def _look_again(self) -> None:
        """Forget the recording where the step has become another one."""
        model = self.step.model
        state = (
            *(p.requires_grad for p in model.parameters()),
            *(module.training for module in model.modules()),
            self.step.micro_batch.size,
        )
        if state != self._state:
            self._state, self._replay, self._taken = state, None, 0

    def _record(self, recorder: Recorder) -> None:
        augment = self._augments[self.batches.batch_size]
        # Gradients of the steps before would keep memory that must not be part of the recording.
        self.step.optimizer.zero()
        try:
            with on_stream(self._stream):
                self._replay = recorder(lambda: self._work(augment, self._numbers, self._at, None))
        except (RuntimeError, MemoryError) as error:
            # A step that cannot be recorded can still run, operation by operation.
            self.recorder = None
            self.step.optimizer.zero()
            why = "out of memory" if out_of_memory(error) else first_line(error)
            self.step.warned(
                f"steps cannot be recorded ({why}): they run one operation at a time, which is "
                "slower; --set compile=off turns recording off from the start"
            )


def cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Record what ``work`` would launch on the GPU, without running it.

    On the stream of the caller, which should be the one that ``work`` was warmed up on: libraries
    keep handles and workspaces by stream, and may not make new ones while recording.
    """
    graph = torch.cuda.CUDAGraph()
    with tuned(), torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        work()
    return graph.replay


@contextmanager
def tuned() -> Iterator[None]:
    """Let cuDNN try its kernels on the first batch and keep the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def on_stream(stream: Any) -> Iterator[None]:
    """A context on a CUDA stream other than the default one, as recording requires; None: as is."""
    if stream is None:
        yield
        return
    outer = torch.cuda.current_stream(stream.device)
    stream.wait_stream(outer)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        outer.wait_stream(stream)
