"""What `make` installs, and with what: the Makefile runs with stand-ins for python and uv."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = "--constraint requirements.lock --no-build-isolation --editable .[train]"
REST = "--requirement requirements.lock"


class Checkout:
    """A folder with the Makefile and a .venv whose programs only note what they are asked."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("make") is None:
            pytest.skip("no make on this machine")
        self.folder = folder
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)
        (folder / ".venv" / "bin").mkdir(parents=True)
        self.stand_in("python", '[ "$1" = --version ] && { echo Python 3.11.7; exit; }')
        self.stand_in("uv")
        self.stand_in("eosin")

    def stand_in(self, name: str, first: str = "") -> None:
        path = self.folder / ".venv" / "bin" / name
        path.write_text(f'#!/bin/sh\n{first}\necho "{name} $*" >> asked\n')
        path.chmod(0o755)

    def make(self, *words: str) -> tuple[list[str], subprocess.CompletedProcess[str]]:
        """What was asked for packages or tests, and how make ended."""
        (asked := self.folder / "asked").write_text("")
        done = subprocess.run(
            ["make", *words], cwd=self.folder, capture_output=True, encoding="utf-8", check=False
        )
        return asked.read_text("utf-8").splitlines(), done


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_demo_installs_its_part_and_the_tests_add_the_rest_once(checkout: Checkout) -> None:
    asked, done = checkout.make("demo")
    assert done.returncode == 0, done.stderr
    (core,) = [line for line in asked if line.startswith("uv ")]
    assert core.endswith(CORE)
    assert asked[-1] == "eosin demo -o demo --force"
    asked, done = checkout.make("test")
    assert done.returncode == 0, done.stderr
    rest, tests = asked
    assert rest.startswith("uv ")
    assert rest.endswith(REST)
    assert "-m pytest" in tests
    asked, _ = checkout.make("demo")
    assert asked == ["eosin demo -o demo --force"]


def test_pip_installs_the_same_where_uv_cannot(checkout: Checkout) -> None:
    checkout.stand_in("uv", "exit 1")
    asked, done = checkout.make("install")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("pip does it now, which takes longer") == 2
    by_pip = [line for line in asked if line.startswith("python -m pip install")]
    assert by_pip[-2].endswith(CORE)
    assert by_pip[-1].endswith(REST)


def test_what_fails_leaves_no_stamp(checkout: Checkout) -> None:
    checkout.stand_in("uv", "exit 1")
    checkout.stand_in("python", "exit 1")
    asked, done = checkout.make("demo")
    assert done.returncode != 0
    assert asked == []
    assert not (checkout.folder / ".venv" / ".core").exists()


def test_slow_tests_have_their_own_target_and_ci_runs_both(checkout: Checkout) -> None:
    for target, chosen in (("test", ["not slow"]), ("test-slow", ["slow"]), ("test-all", [])):
        asked, _ = checkout.make(target)
        assert re.findall(r" -m (not slow|slow)$", asked[-1]) == chosen, target
    assert "make test-all" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search("^check: .*test-all", (ROOT / "Makefile").read_text("utf-8"), re.M)


def test_another_python_than_the_one_of_venv_is_not_passed_over(checkout: Checkout) -> None:
    other = checkout.folder / "python3.99"
    other.write_text("#!/bin/sh\necho Python 3.99.1\n")
    other.chmod(0o755)
    _, done = checkout.make("test", f"PYTHON={other}")
    assert done.returncode != 0
    assert f".venv has Python 3.11.7, not the {other} that you named; make clean" in done.stderr
    assert checkout.make("clean", f"PYTHON={other}")[1].returncode == 0
    assert not (checkout.folder / ".venv").exists()


def test_the_lock_has_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    named = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        named += extra
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.M))
    names = {re.split(r"[\[>=<]", each)[0].lower() for each in named} - {"eosin"}
    assert names <= locked
    assert not re.search(r"https?://", lock), "no addresses: see decision 0009"
