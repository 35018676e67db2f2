"""How much `eosin demo` does: chosen from what the computer does in the first seconds.

``measure`` draws two small cases and takes steps of both networks; ``choose`` is a pure function
from those speeds to a plan, and ``Plan.after`` takes a smaller one where the work falls behind.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from eosin.studies.markdown import counted

#: What everything is to take, in seconds; the rest of three minutes is for what is not foreseen.
SECONDS = 140.0
#: Cases by default; for more of them there is more time.
CASES = 24
#: Patches of a case with an area of 1.
PATCHES = 265
#: The runs in their order, each with the network that it trains.
RUNS = {
    "verbatim": "article",
    "article, patch-random": "article",
    "article, by case": "article",
    "compact, by case": "compact",
}
STEPS = ("data", *RUNS, "reports")
#: The run that always has a report, and those that always have baselines.
SHOWN = "compact, by case"
WITH_BASELINES = ("article, patch-random", SHOWN)


@dataclass(frozen=True)
class Speed:
    """What the computer does in a second: patches drawn, and trained on by each network."""

    drawn: float
    article: float
    compact: float
    #: The precision of the networks.
    precision: str = "fp32"

    @property
    def sentence(self) -> str:
        """What was measured, for people."""
        return (
            f"this computer draws {self.drawn:,.0f} patches/s and trains on {self.article:,.0f} "
            f"(article) and {self.compact:,.0f} patches/s (compact) in {self.precision}"
        )


@dataclass(frozen=True)
class Size:
    """How much is done."""

    #: Of each drawn section, 1 for the usual one of about 265 patches.
    area: float
    #: Epochs of the networks that learn.
    article: int
    compact: int
    batch_size: int
    #: Of the bootstrap.
    replicates: int
    #: Baselines and a report for each run, or only for those whose figures are shown.
    complete: bool


#: The largest that fits is taken.
SIZES = (
    Size(1.0, 4, 6, 128, 1000, complete=True),
    Size(1.0, 4, 6, 128, 1000, complete=False),
    Size(0.6, 4, 6, 64, 1000, complete=False),
    Size(0.4, 3, 6, 64, 500, complete=False),
    Size(0.3, 3, 5, 32, 500, complete=False),
    Size(0.3, 2, 4, 32, 500, complete=False),
    Size(0.3, 1, 3, 32, 200, complete=False),
    Size(0.3, 1, 2, 32, 200, complete=False),
    Size(0.2, 1, 2, 32, 200, complete=False),
)


def predicted(size: Size, cases: int, speed: Speed) -> dict[str, float]:
    """The seconds of each step.

    What is not training takes as long as drawing a number of patches: the same cores do both. The
    factors come from timed demos; how near they are: docs/explanation/machines.md.

    >>> speed = Speed(drawn=400, article=200, compact=600)
    >>> [round(s) for s in predicted(SIZES[-1], 24, speed).values()]
    [5, 10, 8, 8, 10, 5]
    """
    patches = cases * PATCHES * size.area
    everything = size.complete
    drawings = {"data": 1.3 * patches + 500, "reports": 2000 + 1500 * (len(RUNS) - 1) * everything}
    training = {}
    for run, network in RUNS.items():
        rate = getattr(speed, network)
        epochs = 1 if run == "verbatim" else getattr(size, network)
        # 60 % are trained on, 20 % are answered after each epoch, then those and the other 20 %.
        asked = 0.4 * patches
        if everything or run == SHOWN:
            # The out-of-scope check is fitted on the first and tried on five kinds of others.
            asked += 0.6 * patches + 5 * min(0.2 * patches, 500)
        training[run] = (0.6 * epochs * patches + (0.2 * epochs * patches + asked) / 3) / rate
        drawings[run] = 700 + 0.5 * size.replicates + 0.5 * asked
        if everything or run in WITH_BASELINES:
            drawings[run] += 0.2 * patches
    drawings["verbatim"] += 800  # libraries that draw and fit are loaded
    return {step: training.get(step, 0.0) + drawings[step] / speed.drawn for step in STEPS}


@dataclass(frozen=True)
class Plan:
    """What is to be done, and how long each step will take."""

    size: Size
    cases: int
    speed: Speed
    #: Seconds that the steps may take together.
    within: float
    #: What was made smaller on the way, a sentence each.
    changes: Sequence[str] = field(default=())

    @property
    def seconds(self) -> dict[str, float]:
        """Predicted, by step."""
        return predicted(self.size, self.cases, self.speed)

    @property
    def sentence(self) -> str:
        """The plan, for people."""
        size = self.size
        return (
            f"chosen: {self.cases} cases of about {PATCHES * size.area:.0f} patches, "
            f"{counted(size.article, 'epoch')} of article, {size.compact} of compact, "
            f"{size.replicates:,} replicates, {'all reports' if size.complete else 'one report'}: "
            f"about {sum(self.seconds.values()):.0f} s"
        )

    @property
    def sentences(self) -> list[str]:
        """The plan and what was changed on the way."""
        return [f"{each[0].upper()}{each[1:]}." for each in (self.sentence, *self.changes)]

    def settings(self, step: str) -> list[str]:
        """What of the step's recipe is changed."""
        size, network = self.size, RUNS[step]
        if step == "verbatim":
            return []
        batch = size.batch_size if network == "compact" else min(64, size.batch_size)
        return [f"epochs={getattr(size, network)}", f"batch_size={batch}"]

    def after(self, done: Mapping[str, float]) -> Plan:
        """The plan for the steps that are left; done: the seconds of each step so far.

        Where these took longer than predicted, so will the others. The data stay as they are.
        """
        expected = self.seconds
        behind = max(1.0, sum(done.values()) / max(sum(expected[step] for step in done), 1e-9))
        left = self.within - sum(done.values())
        needed = {}
        for size in self._lighter():
            seconds = predicted(size, self.cases, self.speed)
            needed[size] = behind * sum(s for step, s in seconds.items() if step not in done)
            if needed[size] <= left:
                break
        if size == self.size:
            return self
        changed = replace(self, size=size)
        sentence = (
            f"{max(left, 0):.0f} s are left after {list(done)[-1]} for what would take "
            f"{needed[self.size]:.0f} s; {changed.sentence.split(': about')[0]}"
        )
        return replace(changed, changes=(*self.changes, sentence))

    def _lighter(self) -> list[Size]:
        """The plan's size, and smaller ones on the same data."""
        lean = replace(self.size, complete=False)
        fewer = replace(lean, replicates=min(lean.replicates, 200))
        halves = [
            replace(
                fewer, article=max(1, round(fewer.article * share)),
                compact=max(2, round(fewer.compact * share)),
            )
            for share in (0.75, 0.5, 0.25)
        ]  # fmt: skip
        return [self.size, lean, fewer, *halves]

    def to_json(self, done: Mapping[str, float]) -> dict[str, Any]:
        """For demo's JSON; done: the seconds that each step took."""
        return {
            "speed": asdict(self.speed),
            "cases": self.cases,
            "patches_a_case": round(PATCHES * self.size.area),
            **asdict(self.size),
            "predicted_seconds": {name: round(s, 1) for name, s in self.seconds.items()},
            "taken_seconds": {name: round(s, 1) for name, s in done.items()},
            "changes": list(self.changes),
        }


def choose(speed: Speed, cases: int = CASES, spent: float = 0.0) -> Plan:
    """The largest size that fits, the smallest where none does.

    spent: seconds that are gone already. More cases than 24 may take longer in proportion.

    >>> choose(Speed(drawn=2000, article=2000, compact=4000)).size == SIZES[0]
    True
    >>> choose(Speed(drawn=50, article=20, compact=60)).size == SIZES[-1]
    True
    """
    within = SECONDS * max(1.0, cases / CASES) - spent
    plans = [Plan(size, cases, speed, within) for size in SIZES]
    return next((plan for plan in plans if sum(plan.seconds.values()) <= within), plans[-1])


def measure(folder: Path, *, seconds: float = 1.0) -> Speed:
    """Draw and pack two small cases, and train on them for about ``seconds`` with each network.

    folder: where the cases are put; it is no longer needed afterwards.
    """
    import numpy as np

    from eosin.config import read_recipe
    from eosin.data.pack import pack
    from eosin.runs import RunFolder
    from eosin.synthetic.archive import write_archive
    from eosin.training.loop import Trainer

    started = time.perf_counter()
    counts = write_archive(folder / "speed.zip", cases=2, area=0.5)
    drawn = counts["patches"] / (time.perf_counter() - started)
    store = pack(folder / "speed.zip", folder / "speed.store")
    trained, precision = {}, ""
    for name in ("article", "compact"):
        recipe = read_recipe(name, ["batch_size=64", "epochs=1000"])
        rows = np.arange(len(store) // 64 * 64)
        trainer = Trainer(store, {"train": rows}, recipe, RunFolder(folder / "none"))
        steps = (loss for epoch in range(1, 1000) for loss in trainer.epochs.steps(epoch))
        next(steps)  # the first prepares memory and kernels
        taken, started = 0, time.perf_counter()
        while taken < 2 or time.perf_counter() - started < seconds:
            next(steps)
            taken += 1
        trained[name] = 64 * taken / (time.perf_counter() - started)
        precision = trainer.machine.precision
    return Speed(drawn, trained["article"], trained["compact"], precision)
