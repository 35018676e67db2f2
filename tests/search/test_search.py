"""A search: what it writes is right, it never sees a test patch, and no end of it loses a trial."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from eosin.config import Recipe, read_recipe
from eosin.data.store import PatchStore
from eosin.errors import (
    BusyError,
    DiskError,
    FailureError,
    LeakError,
    MissingExtraError,
    RecipeError,
    StoppedError,
    TrainingError,
    UserError,
)
from eosin.locks import Lock
from eosin.runs import RunFolder
from eosin.search import confirm as confirm_module
from eosin.search import outcome
from eosin.search import trials as trials_module
from eosin.search.drawings import history, parallel
from eosin.search.plan import Search
from eosin.search.search import resume, search
from eosin.search.space import Dimension
from eosin.search.storage import DATABASE, JOURNAL, Row, opened
from eosin.splitting.splits import by_case, by_patch
from eosin.studies import study as study_module
from eosin.studies.plan import PLAN
from eosin.studies.study import StudyResult
from eosin.training.loop import Reporter
from eosin.training.session import Session

#: What may differ between two searches that are otherwise the same.
_TIMES = ("seconds",)


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "trials.csv", newline="") as file:
        return [
            {key: value for key, value in row.items() if key not in _TIMES}
            for row in csv.DictReader(file)
        ]


def stopping_at(trial: int, step: int) -> Callable[[Session], Any]:
    """A watch that asks trial so-and-so to stop after a step."""

    @contextmanager
    def watch(session: Session) -> Iterator[Reporter]:
        seen = {"steps": 0}

        def stop() -> bool:
            seen["steps"] += 1
            return session.run.path.name == f"trial-{trial:03d}" and seen["steps"] == step

        yield Reporter(stop=stop)

    return watch


def killed_at(trial: int, epoch: int, *, reported: bool = False) -> Callable[[Session], Any]:
    """A watch that ends trial so-and-so as a kill does: no word to anyone."""

    @contextmanager
    def watch(session: Session) -> Iterator[Reporter]:
        def epoch_done(row: dict[str, Any]) -> None:
            if session.run.path.name == f"trial-{trial:03d}" and row["epoch"] == epoch:
                raise Killed

        yield Reporter(epoch_done=epoch_done)

    return watch


class Killed(BaseException):
    """Not an error that anything catches."""


def test_what_a_search_leaves(found: StudyResult, small: Recipe) -> None:
    result, rows = found.result, found.result["rows"]
    assert [row["trial"] for row in rows] == list(range(7))
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    assert RunFolder(found.folder / "trial-000").recipe() == small
    complete = [row for row in rows if row["state"] == "complete"]
    assert result["best"]["value"] == max(row["value"] for row in complete)
    for row in complete:
        run = RunFolder(found.folder / row["folder"])
        assert run.finished
        assert run.metrics()[-1]["val_auroc"] == row["value"]
        assert not (run / "resume.pt").exists()
        recipe = run.recipe()
        assert recipe.muon_learning_rate == row["values"]["muon_learning_rate"]
        assert recipe.arguments["dropout"] == row["values"]["arguments.dropout"]
        assert recipe.batch_size == row["values"]["batch_size"]
        assert recipe.arguments["widths"] == [4, 8]
    for row in rows:
        if row["state"] == "pruned":
            run = RunFolder(found.folder / row["folder"])
            assert not run.finished
            assert not (run / "resume.pt").exists()
            assert len(run.metrics()) == row["epochs"] == 1
    assert json.loads((found.folder / "search.json").read_text())["rows"] == rows
    assert [row["val_auroc"] for row in table(found.folder)] == [repr(row["value"]) for row in rows]


def test_the_best_recipe_is_complete_and_says_where_it_comes_from(found: StudyResult) -> None:
    path = found.folder / "best.toml"
    text, best = path.read_text(), found.result["best"]
    assert f"Trial {best['trial']} of a search with 7 trials" in text
    assert "picked on the validation part" in text
    assert "no test patch was read" in text
    assert "made-up data" in text
    assert f"--recipe {path}" in text
    trial = RunFolder(found.folder / best["folder"]).recipe()
    kept = read_recipe(str(path))
    assert kept.changed(name="", about="") == trial.changed(name="", about="")


def test_the_sentences_are_honest(found: StudyResult) -> None:
    said = " ".join(found.result["sentences"])
    complete = sum(row["state"] == "complete" for row in found.result["rows"])
    assert f"best of {complete} complete trials" in said
    assert "is too high" in said
    assert "--confirm 3" in said or "No trial was better" in said
    assert "Train it with: eosin train" in said
    assert any("made-up" in mark for mark in found.result["marks"])


def test_poor_trials_are_pruned_and_the_recipe_as_given_never(found: StudyResult) -> None:
    states = [row["state"] for row in found.result["rows"]]
    assert states[:4] == ["complete"] * 4
    assert "pruned" in states


def test_the_figures_are_pictures(found: StudyResult) -> None:
    assert {"history.png", "parallel.png", "history.svg", "parallel.svg"} <= set(found.files)
    for name in found.files:
        if name.endswith(".png"):
            picture = cv2.imread(str(found.folder / name))
            assert picture is not None
            assert picture.std() > 5
        if name.endswith(".svg"):
            assert "</svg>" in (found.folder / name).read_text()


def test_stopped_and_resumed_it_draws_and_finds_the_same(
    found: StudyResult, made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...],
    tmp_path: Path,
) -> None:  # fmt: skip
    folder, split = tmp_path / "pieces", by_case(made_up_store)
    common: dict[str, Any] = {"trials": 7, "space": space, "recipe_name": "small"}
    with pytest.raises(StoppedError, match=r"stopped in trial 2.*eosin search --resume"):
        search(made_up_store, split, small, folder, watch=stopping_at(2, 3), **common)
    with pytest.raises(Killed):
        resume(folder, watch=killed_at(5, 1))
    with pytest.raises(UserError, match="at least as many"):
        resume(folder, trials=3)
    again = resume(folder)
    assert table(folder) == table(found.folder)
    assert again.result["importance"] == found.result["importance"]


def test_a_trial_killed_in_its_last_epoch_is_not_trained_again(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path
) -> None:
    folder, split = tmp_path / "s", by_case(made_up_store)
    with pytest.raises(Killed):
        search(made_up_store, split, small, folder, trials=2, space=space, watch=killed_at(1, 2))
    before = (folder / "trial-001" / "metrics.jsonl").read_text()
    (folder / "trial-001" / ".recipe.toml.partial").write_text("left by a kill")
    resume(folder)
    assert (folder / "trial-001" / "metrics.jsonl").read_text() == before


@pytest.mark.parametrize("damage", ["garbage", "no seen", "other recipe"])
def test_a_trial_whose_folder_is_damaged_begins_again(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path,
    damage: str,
) -> None:  # fmt: skip
    folder, split, said = tmp_path / "s", by_case(made_up_store), list[str]()
    with pytest.raises(Killed):
        search(made_up_store, split, small, folder, trials=2, space=space, watch=killed_at(1, 1))
    trial = folder / "trial-001"
    if damage == "garbage":
        (trial / "resume.pt").write_bytes(b"no checkpoint")
    elif damage == "no seen":
        (trial / "seen.parquet").unlink()
    else:
        (trial / "recipe.toml").write_text(small.to_toml())
    again = resume(folder, note=said.append)
    assert [row["state"] for row in again.result["rows"]] == ["complete"] * 2
    assert [row["epochs"] for row in again.result["rows"]] == [2, 2]
    assert any("trial 1, taken over" in text for text in said)


def test_more_trials_are_added_to_what_is_there(
    found: StudyResult, tmp_path: Path, made_up_store: PatchStore
) -> None:
    folder = tmp_path / "more"
    shutil.copytree(found.folder, folder)
    grown = resume(folder, trials=8)
    assert len(grown.result["rows"]) == 8
    assert table(folder)[:7] == table(found.folder)
    assert Search.reopen(folder, again="").plan.trials == 8


def test_no_test_patch_is_read(
    found: StudyResult, made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...],
    tmp_path: Path,
) -> None:  # fmt: skip
    """Test patches of noise and with false labels change nothing, and reading one is seen."""
    split = by_case(made_up_store)
    parts = split.parts(made_up_store)
    seen = np.concatenate([parts["train"], parts["val"]])
    copy = tmp_path / "poisoned.store"
    shutil.copytree(made_up_store.path, copy)
    patches = np.lib.format.open_memmap(copy / "patches.npy", mode="r+")
    noise = np.random.default_rng(0).integers(0, 255, patches[parts["test"]].shape)
    patches[parts["test"]] = noise
    patches.flush()
    del patches
    poisoned = PatchStore.open(copy)
    poisoned.labels[parts["test"]] = 1 - poisoned.labels[parts["test"]]

    class Trap(np.ndarray):  # type: ignore[type-arg]
        def __getitem__(self, index: Any) -> Any:
            rows = index[0] if isinstance(index, tuple) else index
            assert isinstance(rows, np.ndarray), f"not by rows: {index!r}"
            assert np.isin(rows, seen).all(), "a test patch was read"
            return np.asarray(self)[index]

    poisoned.__dict__["patches"] = np.asarray(poisoned.patches).view(Trap)
    with pytest.raises(AssertionError, match="a test patch was read"):
        poisoned.patches[parts["test"]]
    search(poisoned, split, small, tmp_path / "s", trials=7, space=space, recipe_name="small")
    assert table(tmp_path / "s") == table(found.folder)
    for run in (tmp_path / "s").glob("trial-*"):
        assert "test" not in (run / "split.csv").read_text().replace("test patches left", "")


def test_a_session_with_test_rows_is_refused(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    real, split = trials_module.open_run, by_case(made_up_store)

    def careless(store: PatchStore, planned: Any, path: Path) -> Any:
        return real(store, replace(planned, split=split), path)

    monkeypatch.setattr(trials_module, "open_run", careless)
    with pytest.raises(FailureError, match="test patches in a search"):
        search(made_up_store, split, small, tmp_path / "s", trials=1, space=space)


def failing(reasons: dict[int, Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    real = study_module.fit

    def fit(session: Session, **more: Any) -> dict[str, Any]:
        number = int(session.run.path.name.removeprefix("trial-"))
        if number in reasons:
            raise reasons[number]
        return real(session, **more)

    monkeypatch.setattr(study_module, "fit", fit)


def test_a_trial_that_diverges_fails_and_the_search_goes_on(
    made_up_store: PatchStore, tmp_path: Path
) -> None:
    recipe = read_recipe("article", ["arguments.width=4", "learning_rate=0.01", "epochs=2"])
    space = (Dimension("learning_rate", "choice", choices=(0.01, 100.0)),)
    said = list[str]()
    made = search(
        made_up_store, by_case(made_up_store), recipe, tmp_path / "s", trials=5, space=space,
        note=said.append,
    )  # fmt: skip
    failed = [row for row in made.result["rows"] if row["state"] == "failed"]
    assert 0 < len(failed) < 5
    for row in failed:
        assert "training diverged" in row["reason"]
        assert row["values"]["learning_rate"] == 100.0
        assert not (made.folder / row["folder"] / "resume.pt").exists()
    assert made.result["best"]["values"]["learning_rate"] == 0.01
    assert any("trials failed" in text for text in made.result["sentences"])
    assert any("failed: the loss is" in text for text in said)
    assert [row["reason"] != "" for row in table(made.folder)] == [
        row["state"] == "failed" for row in made.result["rows"]
    ]


def test_without_the_recipe_as_given_there_is_nothing_to_compare(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    failing({0: RuntimeError("broken kernel")}, monkeypatch)
    made = search(
        made_up_store, by_case(made_up_store), small, tmp_path / "s", trials=2, space=space
    )
    assert made.result["rows"][0]["reason"] == "RuntimeError: broken kernel"
    assert "nothing to compare" in made.result["sentences"][0]
    assert made.result["importance"] == {}


def test_all_trials_failing_is_an_error(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    failing({n: TrainingError(f"no luck {n}") for n in range(3)}, monkeypatch)
    with pytest.raises(FailureError, match=r"not one of 3 trials finished.*no luck 0"):
        search(made_up_store, by_case(made_up_store), small, tmp_path / "s", trials=3, space=space)
    assert not (tmp_path / "s" / "best.toml").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "resume.pt"),
        DiskError("resume.pt cannot be written: the disk is full (No space left on device)"),
    ],
)
def test_a_full_disk_ends_the_search_and_loses_no_trial(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, error: Exception,
) -> None:  # fmt: skip
    with monkeypatch.context() as full:
        failing({1: error}, full)
        with pytest.raises(FailureError, match="No space left"):
            search(
                made_up_store, by_case(made_up_store), small, tmp_path / "s", trials=2, space=space
            )
    again = resume(tmp_path / "s")
    assert [row["state"] for row in again.result["rows"]] == ["complete", "complete"]


def test_a_trial_that_kills_its_process_again_and_again_has_failed(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    split = by_case(made_up_store)
    deadly = killed_at(1, 1)

    @contextmanager
    def at_once(session: Session) -> Iterator[Reporter]:
        if session.run.path.name == "trial-001":
            raise Killed
        with deadly(session) as reporter:
            yield reporter

    with pytest.raises(Killed):
        search(made_up_store, split, small, folder, trials=2, space=space, watch=at_once)
    for _ in range(trials_module.MOST_ATTEMPTS - 1):
        with pytest.raises(Killed):
            resume(folder, watch=at_once)
    again = resume(folder, watch=at_once)
    assert again.result["rows"][1]["state"] == "failed"
    assert "memory ran out" in again.result["rows"][1]["reason"]


def test_a_recipe_outside_the_space_is_still_trial_0(
    made_up_store: PatchStore, small: Recipe, tmp_path: Path
) -> None:
    space = (Dimension("muon_learning_rate", "float", low=0.03, high=0.1),
             Dimension("batch_size", "choice", choices=(20, 30)))  # fmt: skip
    made = search(
        made_up_store, by_case(made_up_store), small, tmp_path / "s", trials=3, space=space
    )
    assert RunFolder(made.folder / "trial-000").recipe() == small
    assert made.result["given"]["values"] == {"muon_learning_rate": 0.02, "batch_size": 40}
    assert any("is outside the space" in text for text in made.result["sentences"])
    for row in made.result["rows"][1:]:
        assert 0.03 <= row["values"]["muon_learning_rate"] <= 0.1


def test_confirming_trains_both_with_the_same_further_seeds(
    found: StudyResult, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(found.folder, folder)
    again = resume(folder, confirm=2)
    seeds, best = again.result["confirm"], again.result["best"]["trial"]
    runs = sorted(path.name for path in (folder / "confirm").glob("trial-*"))
    assert runs == sorted(f"trial-{n:03d}-seed{s}" for n in {0, best} for s in (1, 2))
    assert set(seeds["given"]["values"]) == {"1", "2"}
    for run in (folder / "confirm").glob("trial-*"):
        assert "test" not in (run / "split.csv").read_text().replace("test patches left", "")
    if best:
        difference = seeds["best"]["mean"] - seeds["given"]["mean"]
        assert seeds["difference"]["mean"] == pytest.approx(difference)
    assert "further seeds" in " ".join(again.result["sentences"])


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ({"1": 0.02, "2": 0.021, "3": 0.019}, "more than twice its standard error"),
        ({"1": 0.02, "2": -0.01, "3": 0.005}, "within the noise"),
        ({"1": 0.02}, "One seed shows no spread"),
    ],
)
def test_the_verdict_over_seeds(differences: dict[str, float], said: str) -> None:
    def summary(add: float) -> dict[str, Any]:
        return confirm_module._summary({int(s): v + add for s, v in differences.items()})

    row = Row(3, "complete", 0.9, 2, 1.0, {})
    seeds = {"failed": {}, "given": summary(0.5), "best": summary(0.6), "difference": summary(0.0)}
    text = " ".join(confirm_module.words_of(seeds, higher_is_better=True, best=row))
    assert said in text


def test_loss_is_minimized(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path
) -> None:
    made = search(
        made_up_store, by_case(made_up_store), small.changed(epochs=1), tmp_path / "s", trials=3,
        space=space, metric="val_loss",
    )  # fmt: skip
    values = [row["value"] for row in made.result["rows"]]
    assert made.result["best"]["value"] == min(values)
    assert "is too low" in " ".join(made.result["sentences"])


def test_mistakes_are_found_before_anything_is_written(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path
) -> None:
    split, folder = by_case(made_up_store), tmp_path / "s"

    def refused(kind: type[Exception], said: str, **changes: Any) -> None:
        given: dict[str, Any] = {"trials": 2, "space": space, **changes}
        chosen = given.pop("split", split)
        with pytest.raises(kind, match=said):
            search(made_up_store, chosen, small, given.pop("folder", folder), **given)
        assert not folder.exists()

    refused(UserError, "--trials 0", trials=0)
    refused(UserError, "--workers 0", workers=0)
    refused(UserError, "--share 0", share=0.0)
    refused(UserError, "--confirm -1", confirm=-1)
    refused(UserError, "did you mean val_auroc", metric="val_auroc2")
    refused(RecipeError, "cannot be tried", space=(Dimension("momentum", "float", 0.0, 2.0),))
    refused(UserError, "inside the store", folder=made_up_store.path / "s")
    leaking = replace(by_patch(made_up_store), scheme="file")
    refused(LeakError, "--allow-leaks", split=leaking)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    refused(UserError, "contains other files", folder=tmp_path / "notes")
    assert (tmp_path / "notes" / "a.txt").read_text() == "mine"


def test_the_same_command_resumes_and_other_settings_are_refused(
    found: StudyResult, made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...],
    tmp_path: Path,
) -> None:  # fmt: skip
    folder, split = tmp_path / "s", by_case(made_up_store)
    shutil.copytree(found.folder, folder)
    common: dict[str, Any] = {"space": space, "recipe_name": "small"}
    again = search(made_up_store, split, small, folder, trials=7, **common)
    assert again.result["rows"] == found.result["rows"]
    with pytest.raises(UserError, match="seed was 0, now 1"):
        search(made_up_store, split, small, folder, trials=7, seed=1, **common)
    with pytest.raises(UserError, match="trials was 7, now 2"):
        search(made_up_store, split, small, folder, trials=2, **common)


def test_force_removes_the_trials_and_nothing_else(
    found: StudyResult, made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...],
    tmp_path: Path,
) -> None:  # fmt: skip
    folder, split, said = tmp_path / "s", by_case(made_up_store), list[str]()
    shutil.copytree(found.folder, folder)
    (folder / "notes.txt").write_text("mine")
    common: dict[str, Any] = {"trials": 1, "space": space, "force": True, "note": said.append}
    lock = Lock.take(folder / ".locks" / "003")
    with pytest.raises(BusyError, match="in use by another search"):
        search(made_up_store, split, small, folder, **common)
    assert lock is not None
    lock.release()
    made = search(made_up_store, split, small, folder, **common)
    assert len(made.result["rows"]) == 1
    assert [path.name for path in folder.glob("trial-*")] == ["trial-000"]
    assert said[0] == f"left in {folder}: notes.txt"


@pytest.mark.parametrize("damage", ["garbage", "deep", "list", "empty", "gone"])
def test_a_damaged_journal_is_one_sentence(found: StudyResult, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "s"
    shutil.copytree(found.folder, folder)
    text = (folder / JOURNAL).read_bytes()
    if damage == "gone":
        (folder / JOURNAL).unlink()
    else:
        first, _, rest = text.partition(b"\n")
        damaged = {
            "garbage": text[:50] + b"no\n" + text[50:],
            "deep": first + b"\n" + b'{"a":' * 50_000 + b"\n" + rest,
            "list": b"[1]\n" + text,
        }
        (folder / JOURNAL).write_bytes(damaged.get(damage, b""))
    with pytest.raises(FailureError, match=r"search\.journal cannot be used"):
        resume(folder)


def test_a_line_that_a_kill_or_a_full_disk_cut_short_is_dropped(
    found: StudyResult, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(found.folder, folder)
    with open(folder / JOURNAL, "ab") as file:
        file.write(b'{"op_code":8,"wor')
    assert len(resume(folder, trials=8).result["rows"]) == 8
    assert resume(folder).result["rows"][:7] == found.result["rows"]


def test_a_search_of_an_earlier_version_is_resumed_from_its_database(
    found: StudyResult, made_up_store: PatchStore, tmp_path: Path
) -> None:
    """The plan was flat, the trials were in SQLite, and one was under way when it was killed."""
    import optuna

    folder = tmp_path / "s"
    shutil.copytree(found.folder, folder)
    plan = json.loads((folder / PLAN).read_text())
    plan |= plan.pop("settings")
    (folder / PLAN).write_text(json.dumps(plan))
    study = opened(folder, Search.reopen(folder, again="").plan)
    trials = study.get_trials()
    trials[-1].state, trials[-1].values = optuna.trial.TrialState.RUNNING, None
    trials[-1].datetime_complete = None
    url = f"sqlite:///{folder / DATABASE}"
    old = optuna.create_study(study_name="search", storage=url, direction="maximize")
    old.add_trials(trials)
    (folder / JOURNAL).unlink()
    shutil.rmtree(folder / "trial-006")
    assert resume(folder).result["rows"][:6] == found.result["rows"][:6]
    assert table(folder) == table(found.folder)
    (folder / DATABASE).write_bytes(b"no database" * 100)
    (folder / JOURNAL).unlink()
    with pytest.raises(FailureError, match=r"search\.db of an earlier version cannot be read"):
        resume(folder)


def test_the_hint_repeats_how_it_was_called(
    made_up_store: PatchStore, small: Recipe, space: tuple[Dimension, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "my search"
    with pytest.raises(StoppedError) as stopped:
        search(
            made_up_store, by_case(made_up_store), small, folder, trials=1, space=space, confirm=2,
            watch=stopping_at(0, 1),
        )  # fmt: skip
    assert f"resume with: eosin search --resume '{folder}' --confirm 2" in str(stopped.value)


def test_without_optuna_the_install_line_is_said(
    made_up_store: PatchStore, small: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r'pip install "eosin\[search\]"'):
        search(made_up_store, by_case(made_up_store), small, tmp_path / "s", trials=2)


def test_importance_needs_trials_and_finds_what_decides(found: StudyResult) -> None:
    import optuna

    plan = Search.reopen(found.folder, again="").plan
    few = optuna.create_study(direction="maximize")
    trials = opened(found.folder, plan).get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    few.add_trials(trials[:3])
    assert outcome.importance(few, plan) == {}
    space = (Dimension("learning_rate", "float", 1e-4, 1e-1, log=True),
             Dimension("momentum", "float", 0.0, 0.9))  # fmt: skip
    made = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(40):
        trial = made.ask()
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        trial.suggest_float("momentum", 0.0, 0.9)
        made.tell(trial, -abs(np.log10(rate) + 2.5))
    shares = outcome.importance(made, replace(plan, space=space))
    assert next(iter(shares)) == "learning_rate"
    assert shares["learning_rate"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


def test_figures_of_odd_searches(found: StudyResult, tmp_path: Path) -> None:
    """Only failures beside one trial; equal values; choices of lists; a long list of trials."""
    plan = replace(
        Search.reopen(found.folder, again="").plan,
        space=(Dimension("arguments.widths", "choice", choices=([4, 8], [8, 8])),
               Dimension("learning_rate", "float", 1e-4, 1e-1, log=True)),
    )  # fmt: skip
    values = {"arguments.widths": [4, 8], "learning_rate": 0.01}
    odd = {"arguments.widths": [1], "learning_rate": 5.0}
    lone = [Row(0, "complete", 0.9, 2, 1.0, odd),
            Row(1, "failed", None, 0, 0.0, values, "why")]  # fmt: skip
    many = [Row(n, "complete", 0.9, 2, 1.0, odd if not n else values) for n in range(60)]
    for name, rows in (("lone", lone), ("many", many)):
        for draw in (history, parallel) if name == "many" else (history,):
            path = tmp_path / f"{name}-{draw.__name__}.png"
            draw(path, plan, rows)
            assert cv2.imread(str(path)).std() > 5
