"""The house stands: imports run one way, heavy parts load late, files stay small."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import eosin

SOURCE = Path(__file__).parents[1] / "src" / "eosin"

#: From the ground up. A room (or a file beside the rooms) may import what stands in a line above
#: its own; two in one line do not import each other. A new room is one more name here.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "texts", "cores", "stopping"),
    ("kinds", "disks", "memory", "threads"),
    ("locks", "swaps"),
    ("folders",),
    ("config", "sources"),
    ("records",),
    ("runs",),
    ("data", "models", "evaluation", "fetching", "tracking"),
    ("splitting", "synthetic", "trust", "figures", "slides"),
    ("training", "experiments", "runtime"),
    ("probing", "scanning"),
    ("inference",),
    ("studies",),
    ("refining", "search"),
    ("reporting",),
    ("exporting",),
    ("guide", "steps"),
    ("cli",),
    ("__main__",),
)

#: They import nothing of eosin, and nothing of eosin imports them.
ALONE = ("scratch",)

#: They never import torch, not even inside a function, nor a room that may.
TORCH_FREE = (
    "errors", "texts", "kinds", "disks", "locks", "swaps", "folders", "cores", "threads", "memory",
    "stopping",
    "config", "records", "runs", "sources", "data", "evaluation", "fetching",
    "splitting", "synthetic", "trust", "figures", "slides", "tracking", "experiments", "runtime",
    "scanning",
)  # fmt: skip

#: Folders that hold no code.
NO_CODE = ("recipes",)

#: What `import eosin` and `eosin --help` must not load. (typer itself may load pydantic.)
HEAVY = (
    "torch", "numpy", "polars", "cv2", "matplotlib", "sklearn", "scipy", "PIL", "safetensors",
    "requests", "h5py", "kagglesdk", "captum", "jinja2", "marimo", "timm", "torchvision",
    "transformers", "peft", "huggingface_hub", "optuna", "mlflow", "wandb", "trackio",
    "tensorboard", "onnx", "onnxscript", "onnxruntime", "openvino", "accelerate", "openslide",
    "tifffile", "imagecodecs", "wsidicom", "pydicom", "highdicom", "shapely",
)  # fmt: skip

MAX_LINES = 400

#: What the package itself names and loads when it is used; see tests/test_public.py.
PUBLIC = {f"eosin.{module}.{name}" for module, names in eosin._PUBLIC.items() for name in names}


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    """``data`` for data/store.py, ``errors`` for errors.py, "" for the package itself."""
    first = path.relative_to(SOURCE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports_of(text: str, package: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a file imports anywhere, also inside functions.

    package: the dotted name of the folder that the file is in, for relative imports.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(above if node.level else []), *([node.module or ""])]).strip(".")
            for name in node.names:
                yield node.lineno, f"{base}.{name.name}"
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            first = node.args[0]
            if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def level_of(room: str) -> int:
    return next(k for k, rooms in enumerate(LAYERS) if room in rooms)


def problem(room: str, imported: str) -> str:
    """What is wrong with a file of ``room`` importing the dotted name, or ""."""
    top, _, rest = imported.partition(".")
    if room in TORCH_FREE and top in ("torch", "torchvision", "timm", "transformers"):
        return f"{room} is free of torch"
    target = rest.partition(".")[0]
    if top != "eosin" or target in ("", "__version__", room):
        return ""
    if not (SOURCE / target).is_dir() and not (SOURCE / f"{target}.py").is_file():
        return f"there is no eosin.{target}"
    if target in NO_CODE:
        return f"{target} holds no code"
    if room in ALONE or target in ALONE:
        return f"{room if room in ALONE else target} stands alone"
    if room == "":
        return "" if imported in PUBLIC else "the package itself imports nothing else"
    if level_of(target) >= level_of(room):
        return f"{room} stands below {target} or beside it"
    if room in TORCH_FREE and target not in TORCH_FREE:
        return f"{room} is free of torch and {target} is not"
    return ""


def test_every_room_is_in_the_table() -> None:
    known = {*(name for rooms in LAYERS for name in rooms), *ALONE, ""}
    found = {room_of(path) for path in files()}
    assert found <= known, f"give {sorted(found - known)} a line in LAYERS"
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders <= known | set(NO_CODE)


def test_imports_run_one_way() -> None:
    wrong = []
    for path in files():
        package = ".".join(("eosin", *path.relative_to(SOURCE).parts[:-1]))
        for line, imported in imports_of(path.read_text("utf-8"), package):
            if why := problem(room_of(path), imported):
                wrong.append(f"{path.relative_to(SOURCE)}:{line}: imports {imported}: {why}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("data", "from eosin.training.loop import Trainer"),
        ("data", "def f():\n    import torch.nn"),
        ("data", "from importlib import import_module\nimport_module('torch')"),
        ("data", "from ..evaluation import metrics"),
        ("evaluation", "from eosin import data"),
        ("evaluation", "import eosin.models.classifier"),
        ("models", "from eosin.runs import RunFolder\nimport eosin.data.store"),
        ("training", "from eosin.inference import predictor"),
        ("errors", "from eosin.config import Recipe"),
        ("cli", "from eosin import nowhere"),
        ("scratch", "from eosin.errors import EosinError"),
        ("", "from eosin.data.decode import image_size"),
        ("", "import eosin.data.store"),
    ],
)
def test_an_arrow_that_runs_up_is_seen(room: str, text: str) -> None:
    found = [problem(room, name) for _, name in imports_of(text, f"eosin.{room}")]
    assert any(found)


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("data", "from eosin.data.store import PatchStore\nfrom . import decode\nimport numpy"),
        ("data", "from eosin.errors import StoreError\nfrom eosin import __version__"),
        ("models", "import torch\nfrom eosin.errors import RunError"),
        ("inference", "from eosin.data.store import PatchStore\nfrom eosin.training import loop"),
        ("cli", "from eosin.inference.assess import assess"),
        ("scratch", "import numpy\nfrom .losses import mse\nfrom eosin.scratch import losses"),
        ("", "from eosin.data.store import PatchStore"),
    ],
)
def test_an_arrow_that_runs_down_is_allowed(room: str, text: str) -> None:
    assert not [
        why for _, name in imports_of(text, f"eosin.{room}") if (why := problem(room, name))
    ]


def test_the_readme_lists_the_rooms_in_this_order() -> None:
    text = (SOURCE.parents[1] / "README.md").read_text("utf-8")
    block = text.partition("\nsrc/eosin/\n")[2].partition("```")[0]
    rooms = re.findall(r"^  (\w+)(?:/|\.py) ", block, re.M)
    layer = {room: k for k, rooms in enumerate(LAYERS) for room in rooms}
    assert {room_of(path) for path in files()} <= {*rooms, *ALONE, "", "__main__"}
    places = [layer[room] for room in rooms if room in layer]
    assert places == sorted(places)


def test_the_design_page_has_these_levels() -> None:
    text = (SOURCE.parents[1] / "docs" / "explanation" / "design.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+|apart) \| `(\w+)` \| [^|]+ \| (never|) ?\|$", text, re.M)
    levels: dict[str, list[str]] = {}
    for level, room, _ in rows:
        levels.setdefault(level, []).append(room)
    assert tuple(levels.pop("apart")) == ALONE
    assert [tuple(rooms) for rooms in levels.values()] == [*LAYERS[:-1]]
    assert {room for _, room, torch in rows if torch} == {*TORCH_FREE, *ALONE}


def test_rooms_are_two_levels_and_files_are_short() -> None:
    deep = [path for path in files() if len(path.relative_to(SOURCE).parts) > 2]
    assert not deep, f"room/file.py, no deeper: {deep}"
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in files()}
    long = {str(path.relative_to(SOURCE)): n for path, n in lengths.items() if n > MAX_LINES}
    assert not long, f"more than {MAX_LINES} lines; look for the second idea: {long}"


def test_every_file_says_what_it_is() -> None:
    silent = [p for p in files() if not ast.get_docstring(ast.parse(p.read_text("utf-8")))]
    assert not silent


@pytest.mark.parametrize(
    ("pattern", "allowed", "instead"),
    [
        (
            r"\b(cpu_count|sched_getaffinity|process_cpu_count)\b|PoolExecutor\(\)",
            {"cores.py"},
            "cores.usable_cores, which honors a container's quota",
        ),
        (
            r"\b(mallopt|keep_freed_memory|set_num_threads|set_num_interop_threads)\(",
            {"memory.py", "cli/processes.py", "search/workers.py"},
            "settings of the whole process, which only commands and worker processes make",
        ),
    ],
)
def test_cores_and_process_settings_have_one_place(
    pattern: str, allowed: set[str], instead: str
) -> None:
    wrong = [
        f"{path.relative_to(SOURCE)}:{number}: {line.strip()}"
        for path in files()
        if path.relative_to(SOURCE).as_posix() not in allowed
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not wrong, f"use {instead}: {wrong}"


def loaded_after(code: str) -> list[str]:
    """Heavy modules that a fresh interpreter has loaded after running the code."""
    ending = (
        "\nimport json, sys\n"
        f"sys.stderr.write(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + ending], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stderr))


def test_importing_eosin_loads_nothing_heavy() -> None:
    assert loaded_after("import eosin") == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """What would cost time stays out; the time itself is measured by benchmarks/startup.py."""
    code = (
        f"from eosin.cli.main import main\ntry:\n    main({arguments!r})\nexcept SystemExit: pass"
    )
    assert loaded_after(code) == []
