#!/usr/bin/env bash
# One would guess: antialias=True of torch's interpolate matters only where an image gets smaller; enlarging,
# there is nothing to smooth.
#
# What happens: bicubic enlarging changes as well, by up to 0.035 of the range on a single bright pixel: the
# kernel's coefficient is -0.75 without antialias and -0.5 with it. Bilinear is equal in both.
#
# Tested: torch 2.14.1, 2026-12-01.
#
# Who is hurt: whoever sets antialias=True once for patches of several scales, or rebuilds the preprocessing of
# an encoder in another library: patches from a coarser scanner get other pixels than the weights were trained
# on. An export has to choose cubic_coeff_a by that flag.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.14.1
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import torch
from torch.nn.functional import interpolate

print("torch", torch.__version__)
image = torch.zeros(1, 1, 9, 9)
image[..., 4] = 1


def row(mode, antialias):
    return interpolate(image, size=(9, 18), mode=mode, antialias=antialias)[0, 0, 4]


def kernel(a, t):
    """Keys's cubic convolution."""
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


for antialias, a in ((False, -0.75), (True, -0.5)):
    values = row("bicubic", antialias)
    by_hand = torch.tensor([kernel(a, abs((k + 0.5) / 2 - 4.5)) for k in range(18)])
    print(f"bicubic, antialias={antialias}: " + " ".join(f"{value:.4f}" for value in values[5:9].tolist()),
          f"(by hand with a = {a}: differs by {float((values - by_hand).abs().max()):.0e})")
    assert torch.allclose(values, by_hand, atol=1e-5), f"changed: the coefficient is not {a}"
difference = float((row("bilinear", True) - row("bilinear", False)).abs().max())
print(f"bilinear: differs by {difference:.0e}")
assert difference < 1e-6, "changed: bilinear depends on the flag, too"
print("as described")
PYTHON
