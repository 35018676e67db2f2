"""Several processes train what one process trains, and go on with what another number began."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from eosin.config import Recipe, make_recipe
from eosin.data.store import PatchStore
from eosin.errors import StoppedError, UserError
from eosin.runs import RunFolder
from eosin.training.checkpoint import Position, load_checkpoint, save_checkpoint
from eosin.training.loop import Reporter, Trainer
from eosin.training.parallel import Team, fingerprint, timeout
from eosin.training.whole_batch import WholeBatch

Launch = Callable[..., list[subprocess.Popen[str]]]
BASE = {
    "epochs": 2, "batch_size": 17, "precision": "fp32", "learning_rate": 0.02, "dihedral": True,
    # There torch's statistics are exact to seven digits, with channels last to five.
    "channels_last": False,
}  # fmt: skip
#: 52 training patches: the last batch has one, so that a process goes without.
RECIPES: dict[str, dict[str, Any]] = {
    "compact": {
        "network": "compact", "average_decay": 0.9, "momentum": 0.9, "stain": 0.1, "mixup": 0.4,
        "arguments": {"widths": [4, 8], "blocks": [0, 2], "dropout": 0.3, "drop_path": 0.3},
        "clip_norm": 1.0, "micro_batch": 12, "weight_decay": 0.01,
    },
    "article": {
        "network": "article", "arguments": {"width": 2}, "class_weights": "balanced",
        "label_smoothing": 0.1, "head_epochs": 1, "keep": "best", "optimizer": "adamw",
        "learning_rate": 0.001,
    },
    "taught": {
        "network": "compact", "arguments": {"widths": [4, 8], "blocks": [0, 0]},
        "cutmix": 0.5, "shift_px": 2,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def rows(made_up_store: PatchStore) -> dict[str, list[int]]:
    return {"train": list(range(52)), "val": list(range(100, 137))}


def together(
    launch: Launch, count: int, path: Path, jobs: list[dict[str, Any]], norm: Any = ()
) -> dict[str, Any]:
    """Let ``count`` processes do the jobs; returns what they found out about norms."""
    path.write_text(json.dumps({"train": jobs, "norm": list(norm)}))
    script = str(Path(__file__).with_name("together.py"))
    for process in launch(count, [script, str(path)]):
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    found: dict[str, Any] = json.loads(path.with_suffix(".found").read_text())
    return found


def job(store: PatchStore, rows: Any, name: str, run: Path, **more: Any) -> dict[str, Any]:
    return {
        "store": str(store.path), "parts": rows, "run": str(run), "recipe": BASE | RECIPES[name],
        "soft": teacher(52).tolist() if name == "taught" else None, "steps": 10**6,
        "resume": False,
    } | more  # fmt: skip


def teacher(count: int) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(0))


def alone(store: PatchStore, rows: Any, name: str, run: Path, **more: Any) -> None:
    folder = RunFolder(run)
    if not more.get("resume"):
        folder.create()
    count: list[int] = []
    stop_at = more.get("steps", 10**6)
    Trainer(
        store,
        {part: np.array(found) for part, found in rows.items()},
        make_recipe(BASE | RECIPES[name]),
        folder,
        reporter=Reporter(
            stepped=lambda epoch, step, loss: count.append(step),
            stop=lambda: len(count) >= stop_at,
        ),
        soft=teacher(52) if name == "taught" else None,
    ).fit(resume=bool(more.get("resume")))


def difference(one: Path, two: Path) -> float:
    first, second = (load_file(run / "model.safetensors") for run in (one, two))
    return max(float((first[k].double() - second[k].double()).abs().max()) for k in first)


BOUNDS = ([0, 4, 8], [0, 2, 7], [0, 0, 5])


@pytest.fixture(scope="module")
def made(
    made_up_store: PatchStore,
    rows: Mapping[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    launch: Launch,
) -> tuple[Path, dict[str, Any]]:
    """Each recipe trained alone and by two, and one run begun by two, gone on by one, by three."""
    folder = tmp_path_factory.mktemp("parallel")
    store = made_up_store
    jobs = [job(store, rows, name, folder / f"{name}-2") for name in RECIPES]
    jobs.append(job(store, rows, "compact", folder / "moved", steps=2))
    found = together(launch, 2, folder / "two.json", jobs, BOUNDS)
    for name in RECIPES:
        alone(store, rows, name, folder / f"{name}-1")
    with pytest.raises(StoppedError):
        alone(store, rows, "compact", folder / "moved", steps=3, resume=True)
    together(
        launch,
        3,
        folder / "three.json",
        [job(store, rows, "compact", folder / "moved", resume=True)],
    )
    return folder, found


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_train_what_one_trains(made: tuple[Path, Any], name: str) -> None:
    folder, _ = made
    assert difference(folder / f"{name}-1", folder / f"{name}-2") < 5e-5
    rows = [RunFolder(folder / f"{name}-{n}").metrics() for n in (1, 2)]
    for one, two in zip(*rows, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], abs=5e-5)
        assert two["val_loss"] == pytest.approx(one["val_loss"], abs=5e-5)
    facts = [json.loads((folder / f"{name}-{n}" / "model.json").read_text()) for n in (1, 2)]
    assert facts[0]["kept_epoch"] == facts[1]["kept_epoch"]
    assert not [f for f in (folder / f"{name}-2").iterdir() if "partial" in f.name]


@pytest.mark.slow
def test_a_run_goes_on_in_another_number_of_processes(made: tuple[Path, Any]) -> None:
    folder, _ = made
    assert difference(folder / "compact-1", folder / "moved") < 5e-5
    assert [row["epoch"] for row in RunFolder(folder / "moved").metrics()] == [1, 2]


@pytest.mark.slow
def test_norm_and_noise_are_those_of_the_whole_batch(made: tuple[Path, Any]) -> None:
    _, found = made
    assert len(found) == 2 * len(BOUNDS)
    for shares, differences in found.items():
        assert max(differences) < 2e-5, (shares, differences)


def test_shares_cover_a_batch_once() -> None:
    teams = [Team() for _ in range(3)]
    for rank, team in enumerate(teams):
        team.rank, team.count = rank, 3
    for count in (1, 2, 5, 17):
        shares = [team.share(count) for team in teams]
        covered = [row for share in shares for row in range(count)[share]]
        assert covered == list(range(count))
        sizes = [share.stop - share.start for share in shares]
        assert max(sizes) - min(sizes) <= 1


def test_what_has_no_row_a_patch_is_left_alone() -> None:
    torch.manual_seed(0)
    plain = torch.rand(5, 2)
    with WholeBatch(9, slice(0, 4)):
        torch.manual_seed(0)
        assert torch.equal(torch.rand(5, 2), plain)
        assert torch.rand(8, 2).shape == (8, 2)


def test_a_fingerprint_sees_one_bit() -> None:
    value = torch.ones(3, 4, 2, 2).to(memory_format=torch.channels_last)
    other = value.clone()
    other[1, 2, 0, 1] += 2**-23
    assert not torch.equal(fingerprint([value]), fingerprint([other]))
    assert fingerprint([torch.tensor(7), torch.ones(2, dtype=torch.bfloat16)]).shape == (2,)


def test_a_timeout_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOSIN_TIMEOUT", "soon")
    with pytest.raises(UserError, match="EOSIN_TIMEOUT=soon"):
        timeout()


def test_several_may_write_the_same_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "resume.pt"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: save_checkpoint(path, Position(step=n), {"n": {}}), range(32)))
    assert load_checkpoint(path)[0].step in range(32)
    assert [entry.name for entry in tmp_path.iterdir()] == ["resume.pt"]


def test_a_recipe_knows_nothing_of_processes() -> None:
    assert not {"processes", "world_size"} & set(Recipe.model_fields)
