"""Kill -9 at random moments of pack, train, evaluate, export, scan and --force: nothing is lost.

    python benchmarks/kill.py
    python benchmarks/kill.py --moments 28 --changes 0

Each command is killed at moments drawn evenly over its own duration and then, one after the other,
before each of its first ``--changes`` changes of a name in the file system, where a fault is most
likely to show. After every kill: what was there before is there, complete, or what replaces it is;
a file of the user's in a replaced folder is still there after the same command has run again; a
training ends with the same weights, bit for bit, as one that was never killed; nothing temporary
is left. Data are made up and the network is tiny, in fp32 on one thread. Writes results/kill-*.csv.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import forked
from harness import Row, write_csv

NOTE = "not made by eosin"

#: How many of 200 moments a command gets; the slow ones fewer.
SHARES = {
    "pack": 40, "pack --force": 40, "train": 50, "train --force": 30, "evaluate": 20, "export": 10,
    "export --force": 10, "scan": 50, "scan again": 10,
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A command to be killed, in a folder of its own.

    state: what is there after a kill ("old", "new", "nothing", ...), raising AssertionError for
    anything broken; again: the command that completes the work in that state.
    """

    name: str
    prepare: Callable[[Path], None]
    command: Callable[[Path], list[Any]]
    state: Callable[[Path], str]
    again: Callable[[Path, str], list[Any]]
    check: Callable[[Path], None]


@dataclass
class Made:
    """What all jobs start from, made once without a kill."""

    place: Path

    def __post_init__(self) -> None:
        log = self.place / "log"
        from eosin.synthetic.archive import make_store, write_archive

        for number, name in enumerate(("a", "b")):
            target, seed = self.place / f"{name}.zip", number + 1
            forked.ask(partial(write_archive, target, cases=2, seed=seed))
        forked.run(["pack", self.place / "a.zip", self.place / "a.store"], log)
        forked.run(["pack", self.place / "b.zip", self.place / "b.store"], log)
        forked.ask(lambda: len(make_store(self.place / "t.store", cases=8, patches_per_case=16)))
        forked.run(self.training(self.place / "run"), log)
        forked.run([*self.training(self.place / "old"), "--set", "seed=7"], log)
        shutil.copytree(self.place / "run", self.place / "evaluated")
        forked.run(self.evaluation(self.place / "evaluated"), log)
        shutil.copytree(self.place / "run", self.place / "other")
        other = ["--cost-ratio", 50, "--refer-error", 0.4]
        forked.run([*self.evaluation(self.place / "other"), *other], log)
        forked.run(["export", self.place / "evaluated", "-o", self.place / "exported"], log)
        forked.ask(partial(write_slide, self.place / "slide.svs"))
        forked.run(self.scan(self.place / "scanned"), log)
        forked.run([*self.scan(self.place / "other scan"), "--point", "f1"], log)

    def training(self, run: Path) -> list[Any]:
        return ["train", self.place / "t.store", "-o", run, *forked.TINY, "--no-evaluate"]

    def evaluation(self, run: Path) -> list[Any]:
        return ["evaluate", run, "--replicates", 20, "--no-baselines"]

    def scan(self, out: Path) -> list[Any]:
        return ["scan", self.place / "evaluated", self.place / "slide.svs", "-o", out,
                "--model-mpp", 1, "--stride-um", 5, "--least-tissue", 0]  # fmt: skip

    def copy(self, name: str, target: Path, *, note: bool = False) -> None:
        shutil.copytree(self.place / name, target)
        if note:
            (target / "notes.txt").write_text(NOTE)


def write_slide(path: Path) -> int:
    """A made-up slide of which a scan takes a second."""
    import tifffile

    from eosin.synthetic.cases import make_case

    picture = make_case("9", 5, width_px=320, height_px=256).image
    text = "Aperio made up|MPP = 1.0"
    tifffile.imwrite(path, picture, tile=(128, 128), photometric="rgb", description=text,
                     metadata=None, compression="jpeg")  # fmt: skip
    return len(picture)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def same(one: Path, other: Path, names: list[str]) -> bool:
    """Whether these files of two folders are equal, byte for byte."""
    return all((one / n).is_file() and digest(one / n) == digest(other / n) for n in names)


def note_is_kept(folder: Path) -> None:
    """The user's file in a replaced folder is in its place."""
    assert (folder / "notes.txt").read_text() == NOTE


def store_digest(path: Path) -> str:
    """The digest of a store that opens."""
    from eosin.data.store import PatchStore

    store = PatchStore.open(path)
    assert len(store) == store.patches.shape[0]
    return store.digest


def jobs(made: Made) -> list[Job]:
    """All commands, each with what must hold after a kill."""
    place = made.place
    digests = forked.ask(
        lambda: {store_digest(place / f"{name}.store"): name for name in ("a", "b")}
    )
    trained = ["model.safetensors", "split.csv", "recipe.toml"]

    def store_state(folder: Path) -> str:
        if not (folder / "s").exists():
            return "nothing"
        return {"a": "new", "b": "old"}[digests[store_digest(folder / "s")]]

    def packed(folder: Path) -> None:
        assert digests[store_digest(folder / "s")] == "a"

    def run_state(folder: Path) -> str:
        from eosin.runs import RunFolder

        if not (folder / "r").exists():
            return "nothing"
        run = RunFolder.open(folder / "r")
        if run.recipe().seed == 7:
            assert same(run.path, place / "old", [*trained, "model.json", "metrics.jsonl"])
            return "old"
        assert run.read_json("environment.json")["store"]["digest"]
        if run.finished:
            assert same(run.path, place / "run", trained)
            return "new"
        return "checkpoint" if (run / "resume.pt").exists() else "started"

    def train_again(folder: Path, state: str) -> list[Any]:
        if state in ("nothing", "old"):
            return [*made.training(folder / "r"), *(["--force"] if state == "old" else [])]
        return ["train", "--resume", folder / "r", "--no-evaluate"]

    def is_trained(folder: Path) -> None:
        assert same(folder / "r", place / "run", trained)
        rows = [
            [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            for run in (folder / "r", place / "run")
        ]
        assert [r["loss"] for r in rows[0]] == [r["loss"] for r in rows[1]]

    def evaluated_state(folder: Path) -> str:
        from eosin.models.classifier import load_classifier

        run = folder / "r"
        model, _ = load_classifier(run)
        reference, _ = load_classifier(place / "run")
        theirs = reference.network.state_dict()
        assert all(v.equal(theirs[k]) for k, v in model.network.state_dict().items())
        for path in run.glob("*.json"):
            json.loads(path.read_text())
        if refusal(run):
            return "refused"
        mine = fitted(run)
        assert mine in (fitted(place / "other"), fitted(place / "evaluated"))
        return "old" if mine == fitted(place / "other") else "new"

    def is_evaluated(folder: Path) -> None:
        run = folder / "r"
        assert not refusal(run)
        assert figures(run) == figures(place / "evaluated")
        assert fitted(run) == fitted(place / "evaluated")
        assert (run / "report.html").read_text().rstrip().endswith("</html>")

    def export_state(folder: Path) -> str:
        out = folder / "e"
        if not out.exists():
            return "nothing"
        result = json.loads((out / "export.json").read_text())
        for each in result["files"]:
            assert (out / each["file"]).stat().st_size == each["bytes"]
        assert (out / "EXPORT_CARD.md").is_file()
        return "complete"

    def is_exported(folder: Path) -> None:
        assert export_state(folder) == "complete"
        assert same(folder / "e", place / "exported", ["model.onnx", "seen.parquet"])

    def scan_state(folder: Path) -> str:
        out = folder / "s" / "slide"
        if not out.exists():
            return "nothing"
        record = json.loads((out / "slide.json").read_text())
        for name, written in record["files"].items():
            assert digest(out / name) == written["sha256"], name
        return {"balanced": "new", "f1": "old"}[record["decision"]["point"]]

    def is_scanned(folder: Path) -> None:
        assert scan_state(folder) == "new"
        mine, theirs = folder / "s" / "slide", place / "scanned" / "slide"
        record, other = (json.loads((each / "slide.json").read_text()) for each in (mine, theirs))
        for name in record["files"]:
            assert digest(mine / name) == digest(theirs / name), name
        for each in (record, other):
            del each["settings"]["seconds"], each["settings"]["resumed"]
        assert record == other
        assert "slide.svs" in (folder / "s" / "summary.csv").read_text()
        assert not list((folder / "s").glob(".scan/*.answers"))

    def old_scan(folder: Path) -> None:
        made.copy("other scan", folder / "s")
        (folder / "s" / "slide" / "notes.txt").write_text(NOTE)

    def nothing(folder: Path) -> None:
        folder.mkdir()

    def old_store(folder: Path) -> None:
        made.copy("b.store", folder / "s", note=True)

    def old_run(folder: Path) -> None:
        made.copy("old", folder / "r", note=True)

    def old_export(folder: Path) -> None:
        made.copy("exported", folder / "e", note=True)

    def evaluated_otherwise(folder: Path) -> None:
        made.copy("other", folder / "r")

    def pack(folder: Path, *more: str) -> list[Any]:
        return ["pack", place / "a.zip", folder / "s", *more]

    def export(folder: Path, *more: str) -> list[Any]:
        return ["export", place / "evaluated", "-o", folder / "e", *more]

    def with_note(name: str, check: Callable[[Path], None]) -> Callable[[Path], None]:
        def both(folder: Path) -> None:
            check(folder)
            note_is_kept(folder / name)

        return both

    def forced(command: Callable[..., list[Any]]) -> Callable[[Path], list[Any]]:
        return lambda folder: command(folder, "--force")

    def unless_done(command: Callable[..., list[Any]]) -> Callable[[Path, str], list[Any]]:
        return lambda folder, state: command(folder, *([] if state == "nothing" else ["--force"]))

    return [
        Job("pack", nothing, pack, store_state, unless_done(pack), packed),
        Job("pack --force", old_store, forced(pack), store_state, unless_done(pack),
            with_note("s", packed)),
        Job("train", nothing, lambda f: made.training(f / "r"), run_state, train_again, is_trained),
        Job("train --force", old_run, lambda f: [*made.training(f / "r"), "--force"], run_state,
            train_again, with_note("r", is_trained)),
        Job("evaluate", evaluated_otherwise, lambda f: made.evaluation(f / "r"), evaluated_state,
            lambda f, state: made.evaluation(f / "r"), is_evaluated),
        Job("export", nothing, export, export_state, unless_done(export), is_exported),
        Job("export --force", old_export, forced(export), export_state, unless_done(export),
            with_note("e", is_exported)),
        Job("scan", nothing, lambda f: made.scan(f / "s"), scan_state,
            lambda f, state: made.scan(f / "s"), is_scanned),
        Job("scan again", old_scan, lambda f: made.scan(f / "s"), scan_state,
            lambda f, state: made.scan(f / "s"), with_note("s/slide", is_scanned)),
    ]  # fmt: skip


def fitted(run: Path) -> dict[str, Any]:
    """What an evaluation has fitted and keeps in the model."""
    content: dict[str, Any] = json.loads((run / "fitted.json").read_text())
    return content


def refusal(run: Path) -> str:
    """What a report of figures that do not belong to the model's fitting says, or ""."""
    from eosin.errors import EosinError
    from eosin.records.agreement import check_agreement
    from eosin.records.model import ModelFacts

    evaluation = json.loads((run / "evaluation.json").read_text())
    try:
        check_agreement(evaluation["fitted_digest"], ModelFacts.of_run(run).fitted, run)
    except EosinError as error:
        return str(error)
    return ""


def figures(run: Path) -> dict[str, Any]:
    """The figures of an evaluation that do not depend on the clock."""
    evaluation = json.loads((run / "evaluation.json").read_text())
    names = ("auroc", "accuracy", "sensitivity", "specificity", "threshold", "n_patches")
    return {name: evaluation[name] for name in names}


def kill_once(
    job: Job, folder: Path, *, at: float | None, change: int | None, more: random.Random
) -> Row | None:
    """Kill a job, judge what is left, complete it and judge again; None where it was quicker.

    at: seconds after its start; change: or before which change of a name. A training is killed up
    to twice more while it is resumed.
    """
    log = folder.parent / "log"
    job.prepare(folder)
    before = None if change is None else forked.die_before(change)
    child = forked.start(job.command(folder), log, before=before)
    code = child.wait() if at is None else child.kill_after(at)
    if code != -9:
        return None
    row: Row = {"command": job.name, "at_s": at, "change": change, "kills": 1, "problem": ""}
    try:
        state = row["state"] = forked.ask(lambda: job.state(folder))
        while job.name.startswith("train") and state != "new" and row["kills"] < 3:
            child = forked.start(job.again(folder, state), log)
            if child.kill_after((at or 0.3) * more.random()) == -9:
                row["kills"] += 1
            state = forked.ask(lambda: job.state(folder))
        if state != "new" or "--force" in job.name or job.name.startswith("scan"):
            forked.run(job.again(folder, state), log)
        forked.ask(lambda: job.check(folder))
        left = forked.leftovers(folder)
        # One that was killed twice in a second may be swept by the next writer only.
        assert not left, f"left behind: {left}"
    except Exception as error:
        row["problem"] = f"{type(error).__name__}: {error}"[:300]
        row.setdefault("state", "broken")
    return row


def measure(moments: int, changes: int, seed: int, only: str = "") -> list[Row]:
    """All kills: ``moments`` in time, shared among the jobs, and ``changes`` for each job."""
    rows: list[Row] = []
    more = random.Random(seed)
    forked.preload()
    with tempfile.TemporaryDirectory(prefix="eosin-kill-") as name:
        place = Path(name)
        (place / "made").mkdir()
        every = [job for job in jobs(Made(place / "made")) if only in job.name]
        for job in every:
            folder = place / "try"
            job.prepare(folder)
            seconds = forked.run(job.command(folder), place / "log")
            forked.ask(partial(job.check, folder))
            shutil.rmtree(folder)
            share = round(moments * SHARES[job.name] / sum(SHARES[each.name] for each in every))
            done = 0
            while done < share:
                row = kill_once(
                    job, folder, at=seconds * (done + more.random()) / max(share, 1), change=None,
                    more=more,
                )  # fmt: skip
                shutil.rmtree(folder)
                if row is None:
                    continue
                done += 1
                rows.append(row)
            for change in range(1, changes + 1):
                row = kill_once(job, folder, at=None, change=change, more=more)
                shutil.rmtree(folder)
                if row is None:
                    break
                rows.append(row)
            mine = [row for row in rows if row["command"] == job.name]
            states = Counter(row["state"] for row in mine)
            problems = [row for row in mine if row["problem"]]
            print(
                f"{job.name:15} {seconds:6.2f} s  {sum(r['kills'] for r in mine):4} kills, "
                f"{len(problems)} problems; left: "
                + ", ".join(f"{state} {count}" for state, count in states.most_common()),
                flush=True,
            )
            for row in problems:
                moment = f"{row['at_s']:.3f} s" if row["at_s"] else f"change {row['change']}"
                print(f"    at {moment} ({row['state']}): {row['problem']}", flush=True)
    return rows


def main() -> None:
    """Kill, print, and write the CSV; the exit code is 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--moments", type=int, default=200, help="Kills at random moments, in all.")
    parser.add_argument("--changes", type=int, default=40, help="The most changes a command.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="Part of a command's name.")
    words = parser.parse_args()
    rows = measure(words.moments, words.changes, words.seed, words.only)
    problems = sum(bool(row["problem"]) for row in rows)
    timed = sum(row["at_s"] is not None for row in rows)
    print(
        f"{sum(row['kills'] for row in rows)} kills: {timed} at random moments, "
        f"{len(rows) - timed} before a change of a name; {problems} problems"
    )
    write_csv("kill", rows, packages=("torch",))
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
