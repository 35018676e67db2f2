"""benchmarks/gpu.py runs on any processor with --tiny, and says that this is no figure of a GPU."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark_of_gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    # Scripts of a folder that is no package: they would stay under their bare names.
    known = set(sys.modules)
    yield importlib.import_module("gpu")
    for name in {"gpu", "harness", "tutorial"} - known:
        sys.modules.pop(name, None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_every_job_runs_without_a_gpu(
    benchmark_of_gpus: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = benchmark_of_gpus.main(["--tiny", "--results", str(tmp_path)])
    said = capsys.readouterr().out
    assert said.startswith("There is no GPU here")
    jobs = [row["job"] for row in rows]
    assert any("article" in job for job in jobs)
    assert any("tutorial" in job for job in jobs)
    assert any("classify" in job for job in jobs)
    assert all(row["median_s"] > 0 for row in rows)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured(benchmark_of_gpus: Any) -> None:
    with pytest.raises(SystemExit, match="--tiny"):
        benchmark_of_gpus.main([])
