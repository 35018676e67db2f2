"""A disk that is full, at every write of a command: one sentence, nothing half-written.

    python benchmarks/full.py
    python benchmarks/full.py --only train --points 10

Each command runs once for every place where the disk may be full: with 0, 1, 2, ... free pages and
with 0, 1, 2, ... free files on a small tmpfs (only where one can be mounted, as root), with files
that may not grow past 0, 1, 2, ... parts of what it writes (RLIMIT_FSIZE), and with its first,
second, ... write failing in Python, and all after it. ``--points`` is the most of each kind. Every
time: it ends with 1 and one sentence that names a folder, no temporary file is left, what was there
before is there, complete, and the command that completes the work does so once there is room.
Data are made up, the network is tiny. Writes results/full-*.csv.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import ctypes
import errno
import io
import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import forked
from harness import Row, write_csv
from kill import Job, Made, jobs

PAGE = 4096
KINDS = ("pages", "files", "sizes", "writes")


def mount(place: Path, *, pages: int | None = None, files: int | None = None) -> bool:
    """Mount a tmpfs, or change the limits of one; False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    there = os.path.ismount(place)
    limits = {"size": f"{PAGE * (pages or 1 << 18)}", "nr_inodes": str(files or 1 << 16)}
    text = ",".join(f"{key}={value}" for key, value in limits.items())
    remount = 32 if there else 0
    return not libc.mount(b"eosin", os.fsencode(place), b"tmpfs", remount, text.encode())


def unmount(place: Path) -> None:
    """Forget a tmpfs and all in it."""
    ctypes.CDLL(None).umount2(os.fsencode(place), 2)


def can_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    with tempfile.TemporaryDirectory() as name:
        if not (sys.platform.startswith("linux") and mount(Path(name))):
            return False
        unmount(Path(name))
    return True


@contextlib.contextmanager
def roomy(place: Path, mounted: bool) -> Iterator[Path]:
    """A folder of its own for one attempt, on a tmpfs where ``mounted``."""
    place.mkdir()
    try:
        assert not mounted or mount(place)
        yield place / "try"
    finally:
        if mounted:
            unmount(place)
        shutil.rmtree(place)


def used(place: Path) -> tuple[int, int]:
    """Pages and files that are used on the file system of a folder."""
    state = os.statvfs(place)
    return state.f_blocks - state.f_bfree, state.f_files - state.f_ffree


def limit_files(size: int) -> None:
    """Let no file of this process grow past a size in bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def fail_writes(number: int, below: Path, said: Path) -> None:
    """Let the number-th write below a folder fail, and all after it; ``said`` gets the count."""
    count = 0

    def counted() -> None:
        nonlocal count
        count += 1
        if count >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class File(io.FileIO):
        def write(self, data: Any) -> Any:
            counted()
            return super().write(data)

    plain = builtins.open

    def opened(file: Any, mode: str = "r", buffering: int = -1, *more: Any, **options: Any) -> Any:
        write = set(mode) & set("wxa+")
        if not write or isinstance(file, int) or not str(file).startswith(str(below)):
            return plain(file, mode, buffering, *more, **options)
        if set(mode) & set("wxa") and not os.path.exists(file):
            counted()
        raw = File(file, mode.replace("b", "").replace("t", ""))
        if not buffering:
            return raw
        whole = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return whole if "b" in mode else io.TextIOWrapper(whole, *more, **options)

    builtins.open = io.open = opened  # type: ignore[assignment]
    for name in ("mkdir", "fsync", "ftruncate", "pwrite"):
        function = getattr(os, name)

        def call(*words: Any, _function: Any = function, **options: Any) -> Any:
            counted()
            return _function(*words, **options)

        setattr(os, name, call)


def sentence_of(child: forked.Child, code: int) -> str:
    """What is wrong with how a command ended, "" where it is one sentence."""
    said = child.said()
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    if code != 1:
        return f"exit code {code}: {said[-300:]}"
    if len(lines) != 1 or "Traceback" in said or "internal error" in said or "Exception" in said:
        return f"not one sentence: {said[-400:]}"
    # A limit of a file's size holds for temporary files too, which lie elsewhere.
    for words in (tempfile.gettempdir(), "run the same command again|resume with|eosin "):
        if not any(word in lines[0] for word in words.split("|")):
            return f"the sentence has no {words!r}: {lines[0]}"
    return ""


def attempt(job: Job, place: Path, kind: str, point: int, scale: int) -> Row | None:
    """Run a job where the disk is full at one point; None where there was room enough."""
    log = place.parent / "log"
    row: Row = {"command": job.name, "kind": kind, "point": point, "problem": "", "said": ""}
    with roomy(place, kind in ("pages", "files")) as folder:
        job.prepare(folder)
        before: Callable[[], None] | None = None
        if kind == "sizes":
            before = partial(limit_files, PAGE + point * scale)
        elif kind == "writes":
            before = partial(fail_writes, point + 1, place, log)
        elif kind == "pages":
            mount(place, pages=max(1, used(place)[0] + point * scale))
        else:
            mount(place, files=used(place)[1] + point)
        child = forked.start(job.command(folder), log, before=before)
        code = child.wait()
        if code == 0:
            return None
        row["said"] = next((li for li in child.said().splitlines() if "error: " in li), "")
        problem = sentence_of(child, code)
        left = forked.leftovers(folder)
        if kind in ("pages", "files"):
            mount(place)
        try:
            if left:
                problem += f"; left behind: {left}"
            state = row["state"] = forked.ask(lambda: job.state(folder))
            again = job.again(folder, state)
            child = forked.start(again, log)
            if child.wait():
                raise AssertionError(f"again ({state}): {child.said()[-300:]}")
            forked.ask(lambda: job.check(folder))
            if left := forked.leftovers(folder):
                problem += f"; left after the next start: {left}"
        except AssertionError as error:
            problem += f"; {error}"
        row["problem"] = problem
    return row


def measure(points: int, only: str = "", kinds: tuple[str, ...] = KINDS) -> list[Row]:
    """All attempts of all jobs: at most so many points of each kind."""
    rows: list[Row] = []
    forked.preload()
    kinds = tuple(kind for kind in kinds if kind in ("sizes", "writes") or can_mount())
    with tempfile.TemporaryDirectory(prefix="eosin-full-") as name:
        place = Path(name)
        (place / "made").mkdir()
        made = Made(place / "made")
        every = [*jobs(made), *more_jobs(made)]
        for job in [job for job in every if only in job.name]:
            with roomy(place / "disk", False) as folder:
                job.prepare(folder)
                there = {path: path.stat().st_size for path in folder.rglob("*")}
                seconds = forked.run(job.command(folder), place / "log")
                forked.ask(partial(job.check, folder))
                written = [p.stat().st_size for p in folder.rglob("*") if p.is_file()
                           and p.stat().st_size != there.get(p)]  # fmt: skip
            total = sum(-(-size // PAGE) for size in written)
            largest = max(written, default=0)
            for kind in kinds:
                # What is replaced is there twice.
                spans = {"pages": 2 * total, "sizes": largest}
                scale = max(1, -(-spans.get(kind, points) // points))
                found = []
                for point in range(points if kind in spans else 10_000):
                    step = 1 if kind in spans else max(1, point // points)
                    if point % step:
                        continue
                    row = attempt(job, place / "disk", kind, point, scale)
                    if row is None:
                        break
                    found.append(row)
                rows += found
                bad = [row for row in found if row["problem"]]
                print(f"{job.name:16} {seconds:5.1f} s  {kind:7} {len(found):4} times full, "
                      f"{len(bad)} problems", flush=True)  # fmt: skip
                for row in bad[:6]:
                    print(f"    {row['point']}: {row['problem']}", flush=True)
    return rows


def more_jobs(made: Made) -> list[Job]:
    """Commands that only add files: none is there, or it is whole."""
    place = made.place
    store, run = place / "t.store", place / "evaluated"
    tiny = [*forked.TINY, "--set", "epochs=1"]

    def adding(
        name: str, words: list[Any], outputs: dict[str, bytes], *, old: str = "",
        resume: Callable[[Path], list[Any]] | None = None,
    ) -> Job:  # fmt: skip
        """outputs: file -> how it ends; old: a run that is copied first; words: {} is the folder"""

        def prepare(folder: Path) -> None:
            if old:
                made.copy(old, folder)
            else:
                folder.mkdir()

        def command(folder: Path) -> list[Any]:
            return [str(word).replace("{}", str(folder)) for word in words]

        def state(folder: Path) -> str:
            there = [folder / each for each in outputs if (folder / each).exists()]
            for path in there:
                assert (
                    path.read_bytes()
                    .rstrip()
                    .endswith(outputs[path.relative_to(folder).as_posix()])
                )
            for path in folder.rglob("*.json"):
                json.loads(path.read_text("utf-8"))
            return {0: "nothing", len(outputs): "new"}.get(len(there), "part")

        def check(folder: Path) -> None:
            assert state(folder) == "new"

        def again(folder: Path, state: str) -> list[Any]:
            resumed = resume(folder) if resume else []
            return resumed or command(folder)

        return Job(name, prepare, command, state, again, check)

    def search_again(folder: Path) -> list[Any]:
        return ["search", "--resume", folder / "s"] if (folder / "s" / "plan.json").exists() else []

    png = b"IEND\xaeB`\x82"
    return [
        adding("report", ["report", "{}"], {"report.html": b"</html>", "MODEL_CARD.md": b""},
               old="evaluated"),
        adding("search", ["search", store, "-o", "{}/s", "-n", 2, *tiny],
               {"s/search.json": b"}", "s/best.toml": b"", "s/history.png": png},
               resume=search_again),
        adding("crossval", ["crossval", store, "-o", "{}/c", "-k", 2, "--replicates", 20, *tiny],
               {"c/crossval.json": b"}", "c/predictions.parquet": b"PAR1"}),
        adding("probe", ["probe", store, "-e", place / "run", "-o", "{}/p", "--embeddings", "{}/e",
                         "--no-evaluate", "--force"],
               {"p/model.safetensors": b"", "p/model.json": b"}"}),
        adding("ensemble", ["ensemble", place / "run", place / "old", "-o", "{}/e", "--no-evaluate",
                            "--force"],
               {"e/model.json": b"}", "e/model.safetensors": b""}),
        adding("split", ["split", store, "-o", "{}/s.csv"], {"s.csv": b""}),
        adding("card", ["card", store, "-o", "{}/card.md"], {"card.md": b""}),
        adding("inspect", ["inspect", store, "-o", "{}/a.png"], {"a.png": png}),
        adding("explain", ["explain", run, "-o", "{}/a.png", place / "one.png", "--method", "cam"],
               {"a.png": png}),
        adding("baselines", ["baselines", store, "-o", "{}/b", "--replicates", 20], {}),
        adding("compare", ["compare", place / "evaluated", place / "other", "-o", "{}/c",
                           "--replicates", 20],
               {"c/compare.json": b"}", "c/compare.md": b""}),
    ]  # fmt: skip


def main() -> None:
    """Fill the disk, print, and write the CSV; the exit code is 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=40, help="The most of each kind.")
    parser.add_argument("--only", default="", help="Part of a command's name.")
    parser.add_argument("--kinds", default=",".join(KINDS))
    words = parser.parse_args()
    rows = measure(words.points, words.only, tuple(words.kinds.split(",")))
    problems = sum(bool(row["problem"]) for row in rows)
    print(f"{len(rows)} full disks, {problems} problems")
    write_csv("full", rows)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
