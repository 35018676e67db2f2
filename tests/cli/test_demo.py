"""The demo, shortened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.slow
def test_the_demo_goes_the_whole_way(eosin: Run, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    found = eosin("demo", "-o", folder, "--cases", 10, "--set", "epochs=1", "--json")
    assert found.code == 0, found.err
    result = json.loads(found.out)
    assert result["made_up"] is True
    verbatim = result["runs"]["verbatim"]
    assert verbatim["accuracy"]["value"] == pytest.approx(verbatim["base_rate"])
    assert any("no weight changed" in mark for mark in verbatim["marks"])
    assert any("patch-random" in mark for mark in result["runs"]["article, patch-random"]["marks"])
    assert not any("patch" in mark for mark in result["runs"]["compact, by case"]["marks"])
    for run in result["runs"].values():
        assert any("made-up" in mark for mark in run.get("marks", ["made-up"]))
    for name in result["files"]:
        assert Path(name).stat().st_size > 0
    assert "audit of the split by patch: LEAKS" in found.err
    assert "audit of the split by case: no leak found" in found.err


def test_the_demo_replaces_only_a_demo(eosin: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    found = eosin("demo", "-o", tmp_path / "mine", "--force")
    assert found.code == 2
    assert "contains other files" in found.err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    (tmp_path / "old" / "made-up.store").mkdir(parents=True)
    (tmp_path / "old" / "made-up.zip").touch()
    assert "already contains a demo" in eosin("demo", "-o", tmp_path / "old").err
