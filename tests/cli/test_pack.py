from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Only this command, so that the others' imports are not part of the test.
PROGRAM = """
import eosin.cli.main as program
program.COMMANDS = {"pack": "Data", "doctor": "Start"}
program.main()
"""


def eosin(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def png(seed: int) -> bytes:
    out = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def archive(path: Path, *, bad: int = 0, count: int = 6) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for k in range(count):
            data = png(k) if k >= bad else png(k)[:-9]
            file.writestr(f"{k % 2 + 1}/0/{k % 2 + 1}_idx5_x{k}_y1_class0.png", data)
    return path


def test_a_table_and_the_same_as_json(tmp_path):
    source = archive(tmp_path / "a.zip")
    shown = eosin("pack", source, tmp_path / "s")
    assert (shown.returncode, shown.stderr) == (0, "")
    for text in (
        "layout",
        "idc",
        "6 of 5x5 px",
        "nested copies skipped",
        "patches/s",
        "digest",
        "positive class",
    ):
        assert text in shown.stdout
    told = eosin("pack", source, tmp_path / "s", "--force", "--json", "--mpp", "2")
    result = json.loads(told.stdout)
    assert (result["layout"], result["count"], result["mpp"]) == ("idc", 6, 2.0)
    assert (result["positive"], result["positive_by"]) == ("positive", "layout")
    assert "positive class: positive" in told.stderr
    wrong = eosin("pack", source, tmp_path / "t", "--positive", "malignant")
    assert wrong.returncode == 2
    assert "no such class" in wrong.stderr
    assert result["digest"] in shown.stdout


def test_bad_input_is_one_sentence(tmp_path):
    good = archive(tmp_path / "good.zip")
    (tmp_path / "cut.zip").write_bytes(good.read_bytes()[:-30])
    (tmp_path / "text.zip").write_text("hello")
    (tmp_path / "empty").mkdir()
    archive(tmp_path / "bad.zip", bad=3)
    archive(tmp_path / "dead.zip", bad=6)
    cases: list[tuple[int, list[object]]] = [
        (2, [tmp_path / "none.zip"]), (2, [tmp_path / "cut.zip"]), (2, [tmp_path / "text.zip"]),
        (2, [tmp_path / "empty"]), (2, [tmp_path / "dead.zip"]), (1, [tmp_path / "bad.zip"]),
        (2, [good, "--layout", "idcc"]), (2, [good, "--size", "0"]), (2, [good, "--mpp", "nan"]),
        (2, [good, "--max-rejects", "many"]),
    ]  # fmt: skip
    for code, (source, *options) in cases:
        ran = eosin("pack", source, tmp_path / "out" / "s", *options)
        assert (ran.returncode, ran.stdout) == (code, ""), (source, options, ran)
        assert ran.stderr.startswith("error: "), ran.stderr
        assert ran.stderr.count("\n") == 1
        assert "Traceback" not in ran.stderr
        assert not list((tmp_path / "out").glob("*")), source


def test_rejects_are_shown(tmp_path):
    ran = eosin("pack", archive(tmp_path / "a.zip", bad=2), tmp_path / "s", "--max-rejects", "40%")
    assert ran.returncode == 0
    assert "truncated" in ran.stdout
    assert "rejected 1/0/1_idx5_x0_y1_class0.png: truncated" in ran.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_nothing(tmp_path):
    source = archive(tmp_path / "a.zip", count=6000)
    # A shell's background jobs ignore the signal, and their children inherit that.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", heed + PROGRAM, "pack", source, tmp_path / "out" / "s"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/.s.*")) and time.monotonic() < deadline:
        if process.poll() is not None:
            break
        time.sleep(0.001)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    if process.returncode != 0:  # else it had finished before the signal came
        assert process.returncode == 130
        assert b"Traceback" not in said
        assert not list((tmp_path / "out").glob("*"))
