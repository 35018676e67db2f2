#!/usr/bin/env bash
# One would guess: the memory format of a tensor changes speed, and results only by the last bits.
#
# What happens: on a processor, batch norm of a float32 tensor in channels_last is 40 to 400 times further from
# float64 than the same numbers in the usual layout: running means are off by 1e-5 and variances by 4e-5
# relative, gradients by 1e-5 to 2e-5.
#
# Tested: torch 2.14.1, one thread, 2026-12-01.
#
# Who is hurt: whoever turns channels_last on for speed and compares runs: the difference looks like a fault of
# the own change, and a test with a tolerance of 1e-6 fails.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.14.1
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import torch

print("torch", torch.__version__)
torch.set_num_threads(1)
torch.manual_seed(0)
patches = torch.randn(64, 32, 48, 48, dtype=torch.float64) * 0.5 + 3
weights = torch.sin(torch.arange(patches.numel(), dtype=torch.float64)).reshape(patches.shape)


def trained(x):
    """Running mean and variance of one step, and the gradients of input and scale."""
    x = x.detach().requires_grad_()
    scale = torch.ones(32, dtype=x.dtype, requires_grad=True)
    mean, variance = torch.zeros(32, dtype=x.dtype), torch.ones(32, dtype=x.dtype)
    y = torch.nn.functional.batch_norm(
        x, mean, variance, scale, torch.zeros(32, dtype=x.dtype), training=True, momentum=1.0)
    (y * weights.to(x.dtype)).sum().backward()
    return {"mean": mean, "variance": variance, "input's gradient": x.grad, "scale's gradient": scale.grad}


exact = trained(patches)
errors = {}
for name, layout in {"usual": torch.contiguous_format, "channels_last": torch.channels_last}.items():
    values = trained(patches.float().contiguous(memory_format=layout))
    errors[name] = {key: float((values[key] - exact[key]).abs().max() / exact[key].abs().max()) for key in exact}
    print(f"{name}: " + ", ".join(f"{key} {error:.1e}" for key, error in errors[name].items()))
for key in exact:
    assert errors["usual"][key] < 2e-6, f"changed: {key} is not exact in the usual layout either"
    assert errors["channels_last"][key] > 10 * errors["usual"][key], f"changed: {key} is as exact in both layouts"
print("as described")
PYTHON
