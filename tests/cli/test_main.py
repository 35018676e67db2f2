"""The program around the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


def test_a_command_that_cannot_be_loaded_is_one_sentence(
    eosin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ModuleNotFoundError("No module named 'eosin.cli.gone'")

    monkeypatch.setattr("eosin.cli.main.register", broken)
    found = eosin("learn", "--json")
    assert found.code == 1
    assert "internal error" in found.err
    assert "eosin.cli.gone" in found.err
    assert "Traceback" not in found.err
    assert json.loads(found.out)["exit_code"] == 1


def test_a_missing_part_is_one_sentence_with_the_line_that_installs_it(
    eosin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Callable[[], None]:
        def register() -> None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        return register

    monkeypatch.setattr("eosin.cli.main.register", missing("captum"))
    found = eosin("explain", "run", "--json")
    assert found.code == 2
    assert 'eosin explain needs an optional part; install it with: pip install "eosin[train]"' in (
        found.err
    )
    assert json.loads(found.out)["exit_code"] == 2
    # A part of an installed package that is not there is a fault of eosin's.
    monkeypatch.setattr("eosin.cli.main.register", missing("torch.gone"))
    found = eosin("train", "store")
    assert found.code == 1
    assert "internal error" in found.err
