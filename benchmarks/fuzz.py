"""Hostile inputs of generated kinds against every command that reads them.

    python benchmarks/fuzz.py                        10,000 inputs, as `make fuzz`
    python benchmarks/fuzz.py --short --inputs 300   what reads sources and stores, as the tests do
    python benchmarks/fuzz.py --only run --inputs 500
    python benchmarks/fuzz.py --repeat "zip 17"      one input again, with what it prints

An input is drawn from its name alone (kind and number, and --seed): it is made of valid files that
eosin wrote from made-up cases, with something wrong in it (``benchmarks/hostile``). One command
that reads its kind gets it, drawn by weight. A fault is: another exit code than 0, 1 or 2; an
internal error or a traceback; an error without a sentence; --json without one object; an end by a
signal; more than --seconds of processor time, or of waiting; more than --memory of memory;
a file of the input that was changed (other than results in a folder that is both); anything
half-written or temporary that is left. With --plain, every command gets its input undamaged, and
has to succeed.

Inputs share a process until one ends it, as a new one for each would take most of the time.
Writes results/fuzz-*.csv: kind x command x outcome. Exits with 1 where there is a fault.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import forked
from harness import Row, show, write_csv
from hostile import material
from hostile.kinds import KINDS, Command, Kind, short
from hostile.trial import Done, attempt, state

#: Address space on top of what is loaded, and the largest file that may be written.
ADDRESSES, FILE_BYTES = 12 << 30, 1 << 30
#: After so many inputs a process is replaced, so that none has grown by those before it.
TURN = 60

Task = tuple[Kind, int, Command | None]


def preload(short: bool) -> None:
    """Load what most commands need, so that a new process starts in milliseconds."""
    from eosin.cli.main import COMMANDS, register

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    register()
    if not short:
        forked.preload()
    names = ("PIL.Image", "h5py", "polars", "cv2", "scipy.spatial", "rich.table", "rich.progress")
    if not short:
        names += ("optuna", "openvino", "sklearn.ensemble", "safetensors.torch")
        names += tuple(f"eosin.cli.{command}" for command in COMMANDS)
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # What is loaded stays shared with the processes that are forked.
    gc.collect()
    gc.freeze()


def serve(tasks: Sequence[Task], log: Path, chosen: Any, base: Path, pipe: int) -> None:
    """What a forked process does: the inputs in turn, a line of JSON each."""
    import eosin.cli.doctor

    # Its trial imports of every package take 20 seconds, and read no input.
    eosin.cli.doctor._probe = lambda _: ({"error": "left out"}, {})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    with open(log, "a", encoding="utf-8") as file:
        for kind, number, command in tasks:
            root = base / f"{os.getpid()}-{number}"
            done = attempt(
                kind, number, chosen.material, seed=chosen.seed, memory=chosen.memory,
                command=command, root=root, keep=bool(chosen.repeat),
            )  # fmt: skip
            file.write(json.dumps(asdict(done)) + "\n")
            file.flush()
            os.write(pipe, b".")


def looked_at(pid: int) -> tuple[float, bool]:
    """Processor time that a process has taken so far, and whether it sleeps."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return used, fields[0] in "SD"
    return 0.0, False


def work(tasks: list[Task], log: Path, chosen: Any, base: Path) -> None:
    """The inputs in turn, in processes that are replaced when one hangs or dies."""
    while tasks:
        reading, writing = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.close(reading)
                os.setsid()
                serve(tasks[:TURN], log, chosen, base, writing)
                code = 0
            finally:
                os._exit(code)
        os.close(writing)
        ended, why = watch(pid, reading, chosen)
        os.close(reading)
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)  # what it started and left
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if ended < len(tasks[:TURN]):
            kind, number, _ = tasks[ended]
            problem = why or (
                f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
            )
            root = base / f"{pid}-{number}"
            said = ""
            with contextlib.suppress(OSError):
                said = (root / "log").read_text("utf-8", "replace")[-300:]
            done = Done(kind.name, number, problem=problem, said=said, code=status)
            with open(log, "a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(done)) + "\n")
            if not chosen.repeat:
                shutil.rmtree(root, ignore_errors=True)
            ended += 1
        del tasks[:ended]


def watch(pid: int, reading: int, chosen: Any) -> tuple[int, str]:
    """(inputs ended, why the process was killed or ""), when the process has ended.

    On a busy machine a process may get no turn for long: only one that sleeps is waiting.
    """
    ended, begun, slept, last = 0, looked_at(pid)[0], time.monotonic(), -1.0
    while True:
        if select.select([reading], [], [], 0.5)[0]:
            got = os.read(reading, 4096)
            if not got:
                return ended, ""
            ended += len(got)
            begun, slept = looked_at(pid)[0], time.monotonic()
            continue
        used, asleep = looked_at(pid)
        if not asleep or used > last:
            slept = time.monotonic()
        last = used
        if used - begun > chosen.seconds + 2:  # 2 for making the input
            return ended, f"more than {chosen.seconds:g} s of processor time"
        if time.monotonic() - slept > chosen.seconds:
            return ended, f"waited for more than {chosen.seconds:g} s"


def shares(kinds: list[Kind], inputs: int) -> list[Task]:
    """Every input as (kind, number), kinds mixed, as many of each as its weight says."""
    total = sum(kind.weight for kind in kinds)
    counts = [max(1, round(inputs * kind.weight / total)) for kind in kinds]
    counts[counts.index(max(counts))] += inputs - sum(counts)
    every: list[Task] = [
        (kind, k, None) for kind, count in zip(kinds, counts, strict=True) for k in range(count)
    ]
    random.Random(0).shuffle(every)
    return every


def read(logs: list[Path]) -> list[Done]:
    """What the working processes have written so far."""
    found = []
    for log in logs:
        if log.exists():
            for line in log.read_text("utf-8").splitlines():
                with contextlib.suppress(ValueError):
                    found.append(Done(**json.loads(line)))
    return found


def run(tasks: list[Task], chosen: Any, base: Path, logs: Path) -> list[Done]:
    """All inputs, in some processes at a time, with a line now and then."""
    files, children, begun = [], [], time.monotonic()
    for turn in range(chosen.jobs):
        files.append(logs / f"{turn}.jsonl")
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            with contextlib.suppress(KeyboardInterrupt):
                work(tasks[turn :: chosen.jobs], files[-1], chosen, base)
            os._exit(0)
        children.append(pid)
    told = 1
    while children:
        time.sleep(1)
        children = [pid for pid in children if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        minutes = (time.monotonic() - begun) / 60
        if minutes > told / 2 or not children:
            told += 1
            found = read(files)
            ended = Counter(done.outcome for done in found)
            counts = ", ".join(f"{ended[name]:,} {name}" for name in sorted(ended))
            print(f"{len(found):,} of {len(tasks):,} in {minutes:.1f} min: {counts}", flush=True)
    return read(files)


def table(found: list[Done]) -> list[Row]:
    """A row a kind and command: how the inputs ended, and the most that one took."""
    rows = []
    for kind, command in sorted({(done.kind, done.command) for done in found}):
        mine = [done for done in found if (done.kind, done.command) == (kind, command)]
        ended = Counter(done.outcome for done in mine)
        rows.append({
            "kind": kind, "command": command, "inputs": len(mine),
            **{name: ended[name] for name in ("succeeded", "refused", "failed", "fault")},
            "most_cpu_s": max(done.cpu_s for done in mine),
            "most_mb": max(done.peak_mb for done in mine),
        })  # fmt: skip
    return rows


def report(found: list[Done]) -> list[Done]:
    """Print the table and the faults and write the CSV; the faults."""
    rows = table(found)
    show(rows, f"{len(found):,} hostile inputs")
    write_csv("fuzz", rows, packages=("torch", "polars", "pillow", "onnxruntime"))
    faults = [done for done in found if done.outcome == "fault"]
    for done in faults:
        print(f'\n--repeat "{done.kind} {done.number}"  {done.line}\n  input: {done.words}'
              f"\n  fault: {done.problem}\n  said: {done.said[-200:]}")  # fmt: skip
    print(f"\n{len(found):,} inputs, {len(faults)} faults")
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other inputs")
    parser.add_argument("--only", default="", help="kinds, separated by commas")
    parser.add_argument("--repeat", default="", help='one input, such as "zip 17"')
    parser.add_argument("--seconds", type=float, default=10, help="of work or of waiting, a hang")
    parser.add_argument("--memory", type=int, default=2048, help="MB")
    parser.add_argument("--short", action="store_true", help="without torch and trained runs")
    parser.add_argument("--plain", action="store_true", help="every command, undamaged input")
    parser.add_argument("--material", type=Path, help="folder of the valid files, to keep them")
    parser.add_argument("--log", type=Path, help="folder for a line of JSON an input")
    chosen = parser.parse_args()
    os.environ.update(http_proxy="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9",
                      HF_HUB_OFFLINE="1", no_proxy="")  # fmt: skip
    only = [each.strip() for each in chosen.only.split(",") if each.strip()]
    every = short() if chosen.short else KINDS
    kinds = [kind for kind in every if not only or kind.name in only]
    base = Path(tempfile.mkdtemp(prefix="eosin-fuzz-"))
    chosen.material = (chosen.material or base / "valid").resolve()
    logs = chosen.log or base / "log"
    logs.mkdir(parents=True, exist_ok=True)
    os.environ["MPLCONFIGDIR"] = str(base)
    try:
        preload(chosen.short)
        if not (chosen.material / "kaggle.json").exists():
            chosen.material.mkdir(parents=True, exist_ok=True)
            material.make(chosen.material, short=chosen.short)
            print("valid files made", flush=True)
        if chosen.repeat:
            sys.exit(repeat(chosen, base, logs))
        before = state(chosen.material)
        if chosen.plain:
            commands = [(kind, command) for kind in kinds for command in kind.commands]
            tasks: list[Task] = [(kind, k, each) for k, (kind, each) in enumerate(commands)]
            found = [
                replace(done, problem=done.problem or f"it {done.outcome}: {done.said}",
                        outcome="succeeded" if done.outcome == "succeeded" else "fault")
                for done in run(tasks, chosen, base, logs)
            ]  # fmt: skip
        else:
            found = run(shares(kinds, chosen.inputs), chosen, base, logs)
        faults = report(found)
        after = state(chosen.material)
        moved = [name for name in after if before.get(name) != after[name] and "lock" not in name]
        if moved:
            print(f"changed among the valid files: {moved[:5]}")
        sys.exit(bool(faults or moved))
    finally:
        if not chosen.repeat:
            shutil.rmtree(base, ignore_errors=True)


def repeat(chosen: Any, base: Path, logs: Path) -> bool:
    """One input again: print what it said and where it is; whether it is a fault."""
    name, _, number = chosen.repeat.rpartition(" ")
    kind = next(each for each in KINDS if each.name == name)
    work([(kind, int(number), None)], logs / "repeat.jsonl", chosen, base)
    (done,) = read([logs / "repeat.jsonl"])
    for place in base.glob(f"*-{number}"):
        with contextlib.suppress(OSError):
            print((place / "log").read_text("utf-8", "replace"))
        print(f"the input is in {place / 'in'}")
    print(json.dumps(asdict(done), indent=1))
    return done.outcome == "fault"


if __name__ == "__main__":
    main()
