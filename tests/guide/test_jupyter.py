"""The notebook for Jupyter: valid, and it runs from top to bottom in one namespace."""

from __future__ import annotations

import contextlib
import io
import json
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
    with pytest.raises(UserError, match="is there already and may hold answers"):
        write_notebook(LESSONS[0], path)
    assert path.read_text("utf-8") == "my answers"
    write_notebook(LESSONS[0], path, force=True)
    assert json.loads(path.read_text("utf-8"))["nbformat"] == 4


def test_the_name_must_be_one_that_jupyter_knows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not end in \.ipynb"):
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
        assert sum("Nothing is written yet" in text for text in texts) == 3
    finally:
        shells.InteractiveShell.clear_instance()


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=[each.name for each in LESSONS])
def test_it_runs_from_top_to_bottom(
    lesson: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in notebook_of(lesson)["cells"]:
            if cell["cell_type"] == "code":
                exec(compile(cell["source"], cell["id"], "exec"), space)
