"""The public names: pinned, loaded when used, and each in an example that runs."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import eosin

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "python.md"


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


def test_the_public_names() -> None:
    """A name that is taken away or renamed breaks programs: give it a line in CHANGELOG.md."""
    assert eosin.__all__ == [
        "EosinError", "PatchStore", "Predictor", "Recipe", "RunFolder", "Split", "__version__",
        "audit", "bootstrap", "by_case", "evaluate", "export", "load", "make_store", "pack",
        "read_recipe", "read_split", "train", "write_split",
    ]  # fmt: skip
    assert {name for names in eosin._PUBLIC.values() for name in names} == {*eosin.__all__} - {
        "__version__"
    }
    assert set(eosin.__all__) <= set(dir(eosin))


@pytest.mark.parametrize("name", [name for name in eosin.__all__ if name != "__version__"])
def test_each_is_found_documented_and_defined_where_the_package_looks(name: str) -> None:
    value = getattr(eosin, name)
    assert inspect.getdoc(value)
    module = next(module for module, names in eosin._PUBLIC.items() if name in names)
    assert value.__module__ == f"eosin.{module}"
    assert not (ROOT / "src" / "eosin" / name).exists(), "a room of that name would hide it"
    assert not (ROOT / "src" / "eosin" / f"{name}.py").exists()


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "src" / "eosin" / "__init__.py").read_text("utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {
        (node.module or "").removeprefix("eosin."): tuple(each.name for each in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert seen == eosin._PUBLIC


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'eosin' has no attribute 'nothing'"):
        eosin.nothing  # type: ignore[attr-defined]


def test_importing_eosin_loads_none_of_its_modules() -> None:
    code = (
        "import sys, eosin\n"
        "assert not [name for name in sys.modules if name.startswith('eosin.')]\n"
        "eosin.read_recipe\n"
        "assert 'eosin.config' in sys.modules and 'eosin.data' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_in_an_example_and_in_the_table() -> None:
    text = "\n".join(examples())
    for name in eosin.__all__:
        assert re.search(rf"\beosin\.{name}\b", text), f"no example of eosin.{name}"
        if name != "__version__":
            assert re.search(rf"^\|.*`{name}`", PAGE.read_text("utf-8"), re.M), name


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("torch", "onnxruntime", "onnxscript"):
        pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    for example in examples():
        exec(compile(example, str(PAGE), "exec"), space)
    assert (tmp_path / "exported" / "model.onnx").is_file()
