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
