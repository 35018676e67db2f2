"""An environment without torch: only what `pip install eosin[runtime]` brings, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

from eosin.data.store import PatchStore

pytest.importorskip("onnxruntime")

SOURCE = Path(__file__).parents[2] / "src"
Make = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def closure(name: str, extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """Every installed distribution that a requirement needs, itself included, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(name, extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        name, extras = wanted
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            pytest.skip(f"{name} is not installed")
        for text in found[name].requires or []:
            needed = Requirement(text)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in (*extras, "")
            ):
                canonical = re.sub(r"[-_.]+", "-", needed.name).lower()
                waiting.append((canonical, frozenset(needed.extras)))
    return found


def link(found: dict[str, Distribution], folder: Path) -> None:
    """A site-packages folder that holds these distributions only, as links."""
    for each in found.values():
        tops = {Path(str(file)).parts[0] for file in each.files or []} - {"..", "__pycache__"}
        for top in tops:
            origin = Path(str(each.locate_file(top)))
            if not origin.exists() or top.endswith(".pth") or top.startswith("__editable__"):
                continue
            if origin.is_dir() and not (origin / "__init__.py").exists() and "." not in top:
                # Several distributions may share such a folder: only what is of this one.
                (folder / top).mkdir(exist_ok=True)
                parts = {Path(str(f)).parts[1] for f in each.files or [] if str(f).startswith(top)}
                for part in parts - {"__pycache__"}:
                    if not (folder / top / part).exists():
                        (folder / top / part).symlink_to(origin / part)
            elif not (folder / top).exists():
                (folder / top).symlink_to(origin)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs eosin with the standard library, eosin's source and its runtime's packages alone."""
    found = closure("eosin", frozenset({"runtime"}))
    assert {"onnxruntime", "numpy", "polars"} <= set(found)
    assert not {"torch", "captum", "onnx", "openvino", "timm", "accelerate"} & set(found)
    site = tmp_path_factory.mktemp("site-packages")
    link(found, site)
    code = (
        # With -I and -S only the standard library is there to begin with.
        "import sys\nassert not [place for place in sys.path if 'site-packages' in place]\n"
        f"sys.path += {[str(site), str(SOURCE)]!r}\n"
        "from eosin.cli.main import main\nmain(sys.argv[1:])"
    )
    environment = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ
    }
    environment |= {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(tmp_path_factory.mktemp("mpl"))}

    def start(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "-c", code, *(str(word) for word in words)]
        return subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False
        )

    return start


@pytest.fixture(scope="module")
def model(make_exported: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_exported(tmp_path_factory.mktemp("export") / "model.onnx")


def result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_an_image_is_classified(run: Run, model: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((50, 50, 3), (230, 140, 180), np.uint8)).save(tmp_path / "a.png")
    found = result(run("predict", model, tmp_path / "a.png", "--json"))
    (row,) = found["predictions"]
    assert row["decision"] == "positive"
    assert found["marks"] == ["a mark of the run"]


def test_a_store_is_evaluated(
    run: Run, model: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    words = ["--replicates", "20", "-o", tmp_path / "out", "--json"]
    found = result(run("evaluate", model, "--store", made_up_store.path, *words))
    assert found["n_patches"] == len(made_up_store)
    assert found["exported"]["runtime"].startswith("ONNX Runtime")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "an exported file does not open its network" in page
    assert "could not be made" not in (tmp_path / "out" / "MODEL_CARD.md").read_text("utf-8")


@pytest.mark.parametrize(
    "words", [("train", "{store}", "-o", "{folder}/run"), ("predict", "{folder}", "{folder}")]
)
def test_what_needs_torch_says_the_line_to_install(
    run: Run, made_up_store: PatchStore, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "recipe.toml").touch()
    given = [word.format(store=made_up_store.path, folder=tmp_path) for word in words]
    done = run(*given)
    assert done.returncode == 2
    assert 'pip install "eosin[train]"' in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error")]) == 1
    assert "Traceback" not in done.stderr


def test_doctor_says_which_parts_are_there(run: Run) -> None:
    done = run("doctor", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    assert rows["eosin[runtime]"]["status"] == "PASS"
    assert rows["eosin[train]"]["status"] == "-"
