"""A lesson's own folder goes with it, however it ends; its figures in words and on a phone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eosin.figures.canvas import canvas
from eosin.guide.notebook import drawing, in_words, workplace

HOLD = (
    "import sys, time; from eosin.guide.notebook import workplace\n"
    "folder = workplace(); (folder / 'a').write_text('held'); print(folder, flush=True)\n"
)


def test_the_folder_goes_with_its_name() -> None:
    folder = workplace()
    held = Path(str(folder))
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("held", "utf-8")
    assert (held / "deep" / "file").is_file()
    del folder
    assert not held.exists()


def test_each_lesson_has_its_own() -> None:
    one, other = workplace(), workplace()
    assert one != other
    assert list(one.iterdir()) == list(other.iterdir()) == []


@pytest.mark.parametrize(
    ("last", "sent", "code"),
    [
        ("", None, 0),
        ("raise SystemExit(3)", None, 3),
        ("1 / 0", None, 1),
        ("time.sleep(600)", signal.SIGTERM, 128 + 15),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_folder_goes_with_the_process(
    last: str, sent: signal.Signals | None, code: int, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD + last],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert folder.parent == tmp_path
    if sent is not None:
        assert (folder / "a").is_file()
        process.send_signal(sent)
    process.communicate(timeout=300)
    assert process.returncode == code
    assert list(tmp_path.iterdir()) == []


def test_a_figure_in_words() -> None:
    figure, _ = canvas("88 % on others", "360 training patches", width_in=4, height_in=3)
    assert in_words(figure) == "88 % on others. 360 training patches"


def test_letters_are_of_one_size_on_a_phone() -> None:
    narrow, _ = canvas("A", "b", width_in=4, height_in=3)
    wide, _ = canvas("A", "b", width_in=8, height_in=3)
    assert "--least: 228px" in drawing(narrow)
    assert "--least: 456px" in drawing(wide)
