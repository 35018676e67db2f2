"""The slope of any function, measured: what every derivative of the room is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def central(function: Callable[[Any], Any], x: Any, step: float = 1e-6) -> Any:
    """d function / d x by central differences: float64 of x's shape; function gives one number."""
    x = np.array(x, dtype=np.float64)
    slopes = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        slopes[place] = (function(up) - function(down)) / (2 * step)
    return slopes


@pytest.fixture(scope="session")
def measured() -> Callable[..., Any]:
    return central
