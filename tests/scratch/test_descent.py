"""Descent on a line: the expected path, divergence, batches, momentum, the same by seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eosin.scratch.descent import (
    Momentum,
    Path,
    gradient_descent,
    mini_batches,
    stochastic_descent,
)
from eosin.scratch.line import Line, highest_stable_rate, surface


@pytest.fixture
def points():
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 100, 40)
    return x, 1.5 * x + 2 + rng.normal(size=40)


@given(st.integers(1, 20), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_gradient_against_autograd_and_measured_slopes(measured, count, seed) -> None:
    rng = np.random.default_rng(seed)
    x, y, start = rng.normal(size=count), rng.normal(size=count), rng.normal(size=2)
    leaf = torch.tensor(start, requires_grad=True)
    ((leaf[0] * torch.tensor(x) + leaf[1] - torch.tensor(y)) ** 2).mean().backward()
    found = Line(*start).gradient(x, y)
    np.testing.assert_allclose(found, leaf.grad.numpy(), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found, measured(lambda p: Line(*p).loss(x, y), start), atol=1e-7)


def test_the_tutorials_start_and_rate_give_the_expected_path(points) -> None:
    x, y = points
    path = gradient_descent(x, y, steps=30)
    w, b, expected = 4.0, 0.0, []
    for _ in range(31):
        off = [w * p + b - q for p, q in zip(x, y, strict=True)]
        expected.append((w, b, sum(o * o for o in off) / 40))
        w -= 0.0001 * sum(2 * o * p for o, p in zip(off, x, strict=True)) / 40
        b -= 0.0001 * sum(2 * o for o in off) / 40
    np.testing.assert_allclose(np.stack([path.w, path.b, path.loss], axis=1), expected, rtol=1e-9)
    assert (path.w[0], path.b[0]) == (4.0, 0.0)
    assert (np.diff(path.loss) < 0).all()
    assert not path.diverged
    assert path.line.w == pytest.approx(1.5, abs=0.1)


def test_a_rate_too_high_diverges_and_the_path_says_so(points) -> None:
    x, y = points
    path = gradient_descent(x, y, steps=10_000, rate=1e-3)
    assert path.diverged
    assert path.loss[-1] == np.inf
    assert len(path.loss) == len(path.w) == len(path.b) < 10_000
    assert np.isfinite(path.w).all()
    assert (np.diff(path.loss) > 0).all()
    assert (np.sign(path.w[20:40] - 1.5)[1:] != np.sign(path.w[20:40] - 1.5)[:-1]).all()
    assert gradient_descent(x, y, steps=5, rate=1e300).diverged
    assert stochastic_descent(x, y, batch_size=4, epochs=5, rate=1e300, momentum=0.9).diverged


@given(st.integers(2, 20), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_the_highest_stable_rate_is_the_border(count, seed) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=count), rng.normal(size=count)
    border = highest_stable_rate(x)
    assert not gradient_descent(x, y, steps=100, rate=0.95 * border).diverged
    over = gradient_descent(x, y, steps=100, rate=1.2 * border)
    assert over.loss[-1] > over.loss[50]


def test_no_step_is_the_start(points) -> None:
    path = gradient_descent(*points, steps=0, w=1, b=2)
    assert (path.w.tolist(), path.b.tolist(), len(path.loss)) == ([1.0], [2.0], 1)
    assert path.line == Line(1.0, 2.0)


def test_the_whole_batch_is_gradient_descent(points) -> None:
    whole = gradient_descent(*points, steps=20)
    batch = stochastic_descent(*points, batch_size=40, epochs=20, rate=1e-4, seed=9)
    np.testing.assert_allclose(batch.w, whole.w, rtol=1e-9)
    np.testing.assert_allclose(batch.loss, whole.loss, rtol=1e-6)
    assert batch.steps_per_epoch == 1


def test_small_batches_see_each_point_once_an_epoch(points) -> None:
    x, y = points
    path = stochastic_descent(x, y, batch_size=7, epochs=3, rate=1e-5, seed=1)
    assert path.steps_per_epoch == 6
    assert len(path.loss) == 19
    assert path.loss[-1] == pytest.approx(path.line.loss(x, y))
    rng = np.random.default_rng(1)
    w, b = 4.0, 0.0
    for batch in [b for _ in range(3) for b in np.split(rng.permutation(40), range(7, 40, 7))]:
        off = w * x[batch] + b - y[batch]
        w, b = w - 1e-5 * np.mean(2 * off * x[batch]), b - 1e-5 * np.mean(2 * off)
    assert path.line.w == pytest.approx(w)
    assert path.line.b == pytest.approx(b)


def test_smaller_batches_are_noisier(points) -> None:
    ends = {
        size: [
            stochastic_descent(*points, batch_size=size, epochs=4, rate=5e-5, seed=seed).line.w
            for seed in range(20)
        ]
        for size in (1, 20)
    }
    assert np.std(ends[1]) > 2 * np.std(ends[20])


@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_mini_batches_hold_everyone_once(count, size, seed) -> None:
    batches = [*mini_batches(count, size, np.random.default_rng(seed))]
    assert sorted(np.concatenate(batches).tolist()) == [*range(count)]
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert len(batches) == -(-count // size)


def test_the_seed_decides(points) -> None:
    def run(seed: int) -> Path:
        return stochastic_descent(*points, batch_size=5, epochs=3, rate=1e-5, seed=seed)

    np.testing.assert_array_equal(run(4).w, run(4).w)
    assert (run(4).w != run(5).w).any()


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_momentum_adds_up_what_went_before(momentum) -> None:
    rng = np.random.default_rng(0)
    parameters = [rng.normal(size=(2, 3)), rng.normal(size=2)]
    starts = [p.copy() for p in parameters]
    gradients = [[rng.normal(size=p.shape) for p in parameters] for _ in range(10)]
    descent = Momentum(parameters, rate=0.1, momentum=momentum)
    for gradient in gradients:
        descent.step(gradient)
    # The gradient of step i acts in every later step, by momentum^k after k steps.
    reach = [sum(momentum**k for k in range(10 - i)) for i in range(10)]
    for place, (p, start) in enumerate(zip(parameters, starts, strict=True)):
        moved = sum(r * g[place] for r, g in zip(reach, gradients, strict=True))
        np.testing.assert_allclose(p, start - 0.1 * moved, rtol=1e-12)


def test_momentum_goes_farther_along_a_valley(points) -> None:
    x, y = points
    start = Line().loss(x, y)
    plain = gradient_descent(x, y, steps=400)
    fast = stochastic_descent(x, y, batch_size=40, epochs=400, rate=1e-4, momentum=0.9)
    # w is found at once; b crawls along the valley, where momentum gathers speed.
    assert plain.b[-1] < fast.b[-1] < 2.5
    assert fast.loss[-1] < plain.loss[-1] < start


def test_the_surface_is_the_loss(points) -> None:
    x, y = points
    seen = surface(x, y, w=[1, 2, 4], b=[0, 5])
    assert seen.shape == (2, 3)
    assert seen[1, 2] == Line(4, 5).loss(x, y)
    assert seen[0, 1] == Line(2, 0).loss(x, y)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: gradient_descent([1], [1, 2], steps=1),
            r"y has the shape \[2\]; it must be \[1\]",
        ),
        (
            lambda: gradient_descent([[1]], [1], steps=1),
            r"x has the shape \[1, 1\]; it must be \[N",
        ),
        (lambda: gradient_descent([1], [1], steps=-1), "steps is -1"),
        (lambda: gradient_descent([1], [1], steps=1.5), "steps is 1.5"),
        (lambda: gradient_descent([1], [1], steps=1, rate=0), "rate is 0; it must be a finite"),
        (lambda: gradient_descent([1], [1], steps=1, w=np.inf), r"the start \(w, b\) has 1 values"),
        (lambda: gradient_descent([np.nan], [1], steps=1), "x has 1 values that are not finite"),
        (
            lambda: stochastic_descent([1], [1], batch_size=0, epochs=1, rate=1),
            "batch_size is 0; it must be a whole number of at least 1",
        ),
        (lambda: stochastic_descent([1], [1], batch_size=1, epochs=0, rate=1), "epochs is 0"),
        (
            lambda: stochastic_descent([1], [1], batch_size=1, epochs=1, rate=1, momentum=1),
            "momentum is 1; it must be at least 0 and below 1",
        ),
        (lambda: Momentum([np.zeros(1)], rate=float("nan")), "rate is nan"),
        (lambda: surface([1], [1], w=1, b=[0]), r"w has the shape \[\]; it must be \[W\]"),
    ],
)
def test_bad_input_is_said(act, message) -> None:
    with pytest.raises(ValueError, match=message):
        act()
