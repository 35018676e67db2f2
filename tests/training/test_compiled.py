"""Steps on the device against the plain step, and that the host never learns a number from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from eosin.config import Recipe
from eosin.models.classifier import Classifier
from eosin.training.batches import Batches
from eosin.training.compiled import DeviceEpoch, cuda_graph, on_stream
from eosin.training.draws import seeded
from eosin.training.epoch import PlainEpoch
from eosin.training.machine import Machine
from eosin.training.muon import GramMuon
from eosin.training.optimizers import Optimizer, WeightAverage
from eosin.training.step import Step
from eosin.training.watch import LossWatch

FULL: dict[str, Any] = {
    "optimizer": "muon",
    "momentum": 0.9,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "dihedral": True,
    "shift_px": 2,
    "stain": 0.1,
    "brightness": 0.1,
    "average_decay": 0.9,
    "clip_norm": 1.0,
}
RECIPES: dict[str, dict[str, Any]] = {
    "article": {},
    "everything": FULL,
    "blended": {"optimizer": "adamw", "mixup": 0.4, "cutmix": 1.0, "dihedral": True},
    "weighted": {"momentum": 0.9, "class_weights": "balanced", "micro_batch": 5},
    "balanced": {"sampling": "balanced", "shift_px": 1},
}


def whole(count: int = 40) -> tuple[Tensor, Tensor]:
    patches = torch.randint(0, 256, (count, 24, 24, 3), generator=seeded(1))
    return patches.to(torch.uint8), (torch.arange(count) % 3 == 0).long()


class Unreal(Machine):
    """Tensors without values know no precision."""

    def autocast(self) -> Any:
        return nullcontext()


def made(
    kind: type, values: dict[str, Any], *, device: str = "cpu", soft: bool = False, **options: Any
) -> Any:
    """The steps of a tiny article network over 40 patches in batches of 12."""
    recipe = Recipe(network="article", learning_rate=0.02, batch_size=12, **values)
    torch.manual_seed(0)
    model: nn.Module = Classifier.build(
        "article", classes=["a", "b"], patch_size=(24, 24), arguments={"width": 4}
    )
    model = model.to(device).to(memory_format=torch.channels_last)
    patches, labels = whole()
    optimizer = Optimizer(model, recipe, on_device=kind is DeviceEpoch and device != "meta")
    weights = torch.tensor([0.7, 1.6], device=device) if "class_weights" in values else None
    kind_of_machine = Unreal if device == "meta" else Machine
    machine = kind_of_machine(torch.device(device), "fp32", "asked for")
    step = Step(model, optimizer, recipe, machine, classes=2, class_weights=weights)
    batches = Batches(patches.to(device), labels.to(device), recipe.changed(seed=3))
    average = WeightAverage(model, recipe.average_decay) if recipe.average_decay else None
    answers = torch.randn(40, 2, generator=seeded(2)).to(device) if soft else None
    return kind(
        step,
        batches,
        rate=lambda done: 1.0 / (1 + done),
        average=average,
        soft=answers,
        **options,
    )


def weights_of(epochs: Any) -> Tensor:
    found = [t.detach().float().flatten() for t in epochs.step.model.state_dict().values()]
    return torch.cat(
        [*found, *([v.flatten() for v in epochs.average.values] if epochs.average else [])]
    )


def again(work: Callable[[], None]) -> Callable[[], None]:
    """A recorder for the processor: replaying is doing it again."""
    return work


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", RECIPES)
def test_steps_on_the_device_are_the_plain_steps(
    name: str, soft: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eosin.training.compiled.BLOCK", 2)
    plain = made(PlainEpoch, RECIPES[name], soft=soft)
    there = made(DeviceEpoch, RECIPES[name], soft=soft, recorder=again)
    for epoch in (1, 2):
        expected = [float(loss) for loss in plain.steps(epoch)]
        found = [float(loss) for loss in there.steps(epoch)]
        assert found == pytest.approx(expected, rel=1e-3)
        assert len(found) == 4
    assert there.recorded
    apart = (weights_of(there) - weights_of(plain)).abs()
    # Muon and the first steps of AdamW make much of directions that are hardly more than rounding.
    assert apart.mean() < 1e-3
    assert apart.max() < (0.03 if name == "everything" else 1e-4)


def test_the_first_step_is_the_same_to_the_last_digits() -> None:
    plain, there = made(PlainEpoch, FULL), made(DeviceEpoch, FULL)
    next(plain.steps(1)), next(there.steps(1))
    assert torch.allclose(weights_of(there), weights_of(plain), atol=1e-6)


def test_an_epoch_is_entered_in_its_middle() -> None:
    for values in (FULL, FULL | {"drop_last": True}):
        one, other = (made(DeviceEpoch, values, recorder=again) for _ in range(2))
        for _ in one.steps(1):
            pass
        losses = other.steps(1)
        next(losses), next(losses)
        for _ in other.steps(1, start=2):
            pass
        assert torch.equal(weights_of(one), weights_of(other))


class NoQuestions(TorchDispatchMode):
    """Fails where a value must be known on the host, or comes from it."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        assert name not in {"_local_scalar_dense", "nonzero", "masked_select", "equal"}, name
        found = function(*args, **(kwargs or {}))
        if name in {"_to_copy", "copy_", "index", "index_put_"}:
            for each in torch.utils._pytree.tree_leaves([args, found]):
                assert not isinstance(each, Tensor) or each.is_meta, f"{name} with {each.device}"
        return found


class Simple:
    """Muon and plain descent with a rate on the device, which need no kernels made for one."""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = list(model.parameters())
        matrices = [p for p in self.parameters if p.ndim == 2]
        self.muon = GramMuon(matrices, lr=0.1, momentum=0.9)
        self.muon.param_groups[0]["lr"] = torch.zeros((), device=matrices[0].device)

    def zero(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def set_rate(self, factor: Tensor) -> None:
        self.muon.param_groups[0]["lr"].copy_(0.1 * factor)

    def step(self) -> None:
        self.muon.step()


@pytest.mark.parametrize("name", ["everything", "blended", "weighted"])
def test_a_step_neither_asks_nor_tells_the_host_anything(name: str) -> None:
    # A tensor without values stands for the GPU: whoever asks for a number fails.
    values = {**RECIPES[name], "optimizer": "sgd"}
    there = made(DeviceEpoch, values, device="meta", soft=name != "weighted")
    there.step.optimizer = Simple(there.step.model)
    order = there.batches.order(1)
    there._place(there._drawn(order, 1, range(2), 12))
    for _ in range(2):
        with NoQuestions():
            there._work(there._augments[12], there._numbers, there._at, 5)
    assert there._loss.is_meta


def test_asking_would_be_noticed() -> None:
    there, here = torch.zeros(2, device="meta"), torch.zeros(2)
    asking: list[Callable[[], object]] = [
        lambda: there[0].item(),
        lambda: there[there > 0],
        lambda: int(there.argmax()),
        lambda: there.copy_(here),
        lambda: there + here,
    ]
    for ask in asking:
        with NoQuestions(), pytest.raises((AssertionError, RuntimeError)):
            ask()


def test_what_cannot_be_recorded_is_taken_step_by_step() -> None:
    def broken(work: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    said: list[str] = []
    there = made(DeviceEpoch, {}, recorder=broken)
    there.step.warned = said.append
    plain = made(PlainEpoch, {})
    for epochs in (there, plain):
        for _ in epochs.steps(1):
            pass
    assert not there.recorded
    assert len(said) == 1
    assert "not permitted" in said[0]
    assert "more" not in said[0]
    assert torch.allclose(weights_of(there), weights_of(plain), atol=1e-6)


def test_another_step_is_recorded_anew() -> None:
    there = made(DeviceEpoch, {}, recorder=again)
    kept: list[Any] = []
    for epoch in (1, 2, 3):
        if epoch == 3:
            next(iter(there.step.model.parameters())).requires_grad_(False)
        for _ in there.steps(epoch):
            pass
        kept.append(there._replay)
    assert kept[0] is kept[1]
    assert kept[1] is not kept[2]


def test_out_of_memory_while_recording_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    there = made(DeviceEpoch, {}, recorder=again)
    said: list[str] = []
    there.step.warned = said.append

    def full(work: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("CUDA out of memory")

    there.recorder = full
    assert len(list(there.steps(1))) == 4
    assert "out of memory" in said[0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", RECIPES)
def test_a_recorded_step_is_the_plain_step_on_a_gpu(name: str) -> None:
    values = {**RECIPES[name], "clip_norm": 1.0}
    plain = made(PlainEpoch, values, device="cpu")
    there = made(DeviceEpoch, values, device="cuda", recorder=cuda_graph)
    there.batches.order(1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for epoch in (1, 2):
            for _ in there.steps(epoch):
                pass
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for epoch in (1, 2):
        for _ in plain.steps(epoch):
            pass
    assert there.recorded
    # Convolutions of a GPU round to TF32, which Muon and AdamW make more of.
    assert (weights_of(there).cpu() - weights_of(plain)).abs().mean() < 5e-3


class Graph:
    """Stands for torch.cuda's streams and graphs, and notes in which order they are used."""

    order: ClassVar[list[str]] = []
    device = torch.device("cuda")

    def __init__(self, *given: Any, **options: Any) -> None:
        self.options = options

    def wait_stream(self, other: Any) -> None:
        self.order.append("wait")

    def replay(self) -> None:
        self.order.append("replay")


@contextmanager
def noted(*given: Any, stream: Any = None) -> Iterator[None]:
    Graph.order.append("recording" if stream is not None else "aside")
    yield
    Graph.order.append("done")


def test_recording_is_done_on_the_stream_of_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    Graph.order.clear()
    for name, stand_in in {
        "Stream": Graph,
        "CUDAGraph": Graph,
        "stream": noted,
        "graph": noted,
        "current_stream": lambda device=None: Graph(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    with on_stream(Graph()):
        replay = cuda_graph(lambda: Graph.order.append("step"))
    replay()
    inside = ["wait", "aside", "recording", "step", "done", "done", "wait"]
    assert Graph.order == [*inside, "replay"]
    assert not torch.backends.cudnn.benchmark


class Arriving:
    """An event that says "not yet" so many times."""

    def __init__(self, waits: int) -> None:
        self.waits, self.left = waits, waits

    def record(self) -> None:
        self.left = self.waits

    def query(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_loss_is_seen_some_steps_late_and_never_waited_for() -> None:
    watch = LossWatch(torch.device("cpu"))
    watch._late, watch._slot, watch._event = True, torch.zeros(()), Arriving(2)
    seen = [watch.see(step, torch.tensor(float(step))) for step in range(1, 9)]
    assert seen == [None, None, None, (1, 1.0), None, None, (4, 4.0), None]
    watch.restart()
    assert watch.see(1, torch.tensor(9.0)) is None


def test_processes_together_on_a_gpu_look_at_the_same_steps() -> None:
    watch = LossWatch(torch.device("cuda"), together=True)
    seen = [step for step in range(1, 151) if watch.see(step, torch.zeros(()))]
    assert seen == [50, 100, 150]
