"""The notebook for Jupyter: valid, and it runs from top to bottom in one namespace."""

from __future__ import annotations

import builtins
import contextlib
import io
import json
import symtable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eosin.errors import UserError
from eosin.guide.catalog import lessons
from eosin.guide.jupyter import notebook_of, write_notebook

pytest.importorskip("marimo")
LESSONS = lessons(Path(__file__).parents[2] / "lessons")


def test_it_is_a_valid_notebook(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    path = write_notebook(LESSONS[0], tmp_path / "deep" / "one.ipynb")
    held = nbformat.read(path, 4)
    nbformat.validate(held)
    assert len({cell["id"] for cell in held.cells}) == len(held.cells)
    texts = [cell["source"] for cell in held.cells if cell["cell_type"] == "markdown"]
    assert texts[1].startswith("# 1. ")
    assert any(text.startswith("## Summary") for text in texts)
    assert sum(text.startswith("**Exercise") for text in texts) == 3


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "one.ipynb"
    path.write_text("my answers", "utf-8")
    with pytest.raises(UserError, match="already exists and may contain answers"):
        write_notebook(LESSONS[0], path)
    assert path.read_text("utf-8") == "my answers"
    with pytest.raises(UserError, match="already exists"):
        write_notebook(LESSONS[0], path, force=True)
    assert path.read_text("utf-8") == "my answers"
    path.unlink()
    write_notebook(LESSONS[1], path)
    write_notebook(LESSONS[0], path, force=True)
    assert json.loads(path.read_text("utf-8"))["nbformat"] == 4


def test_the_name_must_be_one_that_jupyter_knows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end in \.ipynb"):
        write_notebook(LESSONS[0], tmp_path / "one.json")


@pytest.mark.slow
def test_jupyter_shows_texts_inputs_figures_and_verdicts() -> None:
    shells = pytest.importorskip("IPython.core.interactiveshell")
    shell = shells.InteractiveShell.instance()
    try:
        kinds = []
        for cell in notebook_of(LESSONS[0])["cells"]:
            if cell["cell_type"] == "code":
                with contextlib.redirect_stdout(io.StringIO()):
                    done = shell.run_cell(cell["source"])
                assert done.success
                if done.result is not None:
                    kinds.append(shell.display_formatter.format(done.result)[0])
        assert sum("image/png" in kind for kind in kinds) == 3
        texts = [kind.get("text/markdown", "") for kind in kinds]
        assert any("![It learns, and never comes to rest" in text for text in texts)
        assert any("threshold: **4.5**" in text for text in texts)
        assert sum("Write an answer first" in text for text in texts) == 3
    finally:
        shells.InteractiveShell.clear_instance()


#: tests/guide/test_lessons.py runs every lesson to its end. What Jupyter does otherwise, one
#: namespace for all cells, is tested below without running them; three run in this way as well.
SHORT = [each for each in LESSONS if each.number in (2, 6, 11)]


def used(table: symtable.SymbolTable) -> Iterator[str]:
    """Global names that a cell reads, also inside its functions."""
    module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (module or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from used(child)


def made(table: symtable.SymbolTable) -> set[str]:
    """Names that a cell gives to the cells after it."""
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


@pytest.mark.parametrize("lesson", LESSONS, ids=[each.name for each in LESSONS])
def test_every_name_is_there_when_a_cell_needs_it(lesson: Any) -> None:
    known = {*dir(builtins), "__name__"}
    for cell in notebook_of(lesson)["cells"]:
        if cell["cell_type"] == "code":
            table = symtable.symtable(cell["source"], cell["id"], "exec")
            known |= made(table)
            assert not set(used(table)) - known, cell["source"]


def test_a_name_that_comes_too_late_is_seen() -> None:
    table = symtable.symtable("a = b\ndef f():\n    return c", "cell", "exec")
    assert set(used(table)) - made(table) == {"b", "c"}


@pytest.mark.slow
@pytest.mark.parametrize("lesson", SHORT, ids=[each.name for each in SHORT])
def test_it_runs_from_top_to_bottom(
    lesson: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in notebook_of(lesson)["cells"]:
            if cell["cell_type"] == "code":
                exec(compile(cell["source"], cell["id"], "exec"), space)
