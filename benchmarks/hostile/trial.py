"""One input: made, given to a command in this process, and judged by what the command leaves."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

from hostile.kinds import Command, Kind

#: What no command may print.
BROKEN = ("internal error", "Traceback (most recent call last)")
ENDS = {0: "succeeded", 1: "failed", 2: "refused"}


@dataclass
class Done:
    """What one input did."""

    kind: str
    number: int
    command: str = "-"
    outcome: str = "fault"  #: "succeeded", "refused" (2), "failed" (1) or "fault"
    problem: str = ""
    words: str = ""  #: what was done to the input
    line: str = ""  #: the command line
    said: str = ""  #: the end of what it printed
    code: int = 0
    cpu_s: float = 0.0
    peak_mb: int = 0


def state(folder: Path) -> dict[str, str]:
    """Every file below a folder by name with its digest, and what links and pipes there are."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            key = os.fsdecode(os.path.relpath(path, folder))
            if os.path.islink(path):
                found[key] = f"link {os.readlink(path)}"
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[key] = hashlib.sha1(file.read()).hexdigest()
            else:
                found[key] = "-"
    return found


def of_library(name: str) -> bool:
    """Whether a temporary folder is one that a library keeps until the process ends."""
    return name.startswith(("matplotlib", "torchinductor")) or "wandb-" in name


def command_line(words: list[str], valid: Path) -> list[str]:
    """The words with "@x" as the path of the valid x."""
    return [str(valid / word[1:]) if word.startswith("@") else word for word in words]


def attempt(
    kind: Kind, number: int, valid: Path, *, seed: int = 0, memory: int = 2048,
    command: Command | None = None, root: Path, keep: bool = False,
) -> Done:  # fmt: skip
    """Make one input in a new folder, run a command on it in this process, and judge the result.

    command: this one, with the input undamaged; else one drawn for a damaged input. memory: MB that
    it may take at most. root: the folder to make, left there with ``keep``.
    """
    rng = random.Random(f"{seed} {kind.name} {number}")
    drawn = rng.choices(kind.commands, [each.weight for each in kind.commands])[0]
    plain = command is not None
    chosen = command or drawn
    as_json = rng.random() < 0.4 and not plain
    done = Done(kind.name, number)
    try:
        place = root / "in"
        for folder in (place, root / "out", root / "tmp"):
            folder.mkdir(parents=True)
        os.chdir(root)
        done.words = _plainly(kind.make(rng, place, valid, plain))[:400]
        own, words = root / "words.json", list(chosen.words)
        if own.exists():
            words = json.loads(own.read_text())
            words += chosen.words[3:] if words[0] == chosen.words[0] == "pack" else ()
            own.unlink()
        words = command_line(words, valid) + (["--json"] if as_json else [])
        done.command, done.line = words[0], " ".join(words).replace(f"{valid}/", "@")
        before = state(place)
        done.code, done.cpu_s, done.peak_mb = _run(words, root)
        said = (root / "log").read_text("utf-8", "replace")
        done.said = " ".join(said.split())[-600:].replace(str(root), "").replace(str(valid), "@")
        done.problem = _problem(done, said, root, before, state(place), chosen, memory)[:400]
        done.outcome = "fault" if done.problem else ENDS[done.code]
    except Exception:
        done.problem = f"the fuzzer itself: {traceback.format_exc(limit=-2)}"
    finally:
        os.chdir("/")
        if not keep:
            shutil.rmtree(root, ignore_errors=True)
    return done


def _plainly(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _run(words: list[str], root: Path) -> tuple[int, float, int]:
    """(exit code, seconds of processor time, most MB of memory) of a command line."""
    from eosin.cli import main

    os.environ["TMPDIR"] = tempfile.tempdir = str(root / "tmp")
    os.environ["KAGGLE_CONFIG_DIR"] = str(root / "in")
    sys.argv = ["eosin", *words]
    # From here on, the most memory that this process has had is counted anew.
    Path("/proc/self/clear_refs").write_text("5")
    begun = _seconds()
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    log = os.open(root / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        for number in (1, 2):
            os.dup2(log, number)
        try:
            main.main(words)
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        except BaseException:
            traceback.print_exc()
            code = 99
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(log)
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    return code, round(_seconds() - begun, 2), peak


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _problem(
    done: Done, said: str, root: Path, before: dict[str, str], after: dict[str, str],
    command: Command, memory: int,
) -> str:  # fmt: skip
    """What is wrong with how a command took its input, or ""."""
    for text in BROKEN:
        if text in said:
            return f"{text}: {said[said.index(text) :][:300]}"
    if done.code not in ENDS:
        return f"exit code {done.code}"
    if done.line.endswith("--json"):
        start = max(said.find("{\n"), 0)
        try:
            json.JSONDecoder().raw_decode(said[start:])
        except ValueError:
            return "no JSON object"
    # A study of many runs ends with which of them failed, doctor with what is missing.
    elif done.code and not any(each in said for each in ("error: ", " failed (", "What to do")):
        return "an end without a sentence"
    if done.peak_mb > memory:
        return f"{done.peak_mb} MB of memory"
    if left := [each for each in os.listdir(root / "tmp") if not of_library(each)]:
        return f"left in the temporary folder: {left[:3]}"
    if half := [str(path.relative_to(root)) for path in root.rglob(".*.partial")]:
        return f"half-written: {half[:3]}"
    allowed = (*(command.writes if done.code == 0 or "*" in command.writes else ()), ".eosin.lock")
    changed = [
        name for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
        and not any(fnmatch.fnmatch(part, each) for each in allowed for part in name.split("/"))
    ]  # fmt: skip
    if changed:
        return f"changed in the input: {sorted(changed)[:3]}"
    made = os.listdir(root / "out")
    if done.code == 2 and made and not command.keeps:
        return f"left in the output: {sorted(made)[:3]}"
    return ""
