#!/usr/bin/env bash
# One would guess: TiffWriter.write(rgb, photometric="ycbcr", compression="jpeg"), the usual form of slides, converts
# an RGB picture, as writers of JPEG do.
#
# What happens: the array is taken as YCbCr already. The file is valid, there is no warning, and every reader shows
# wrong colors: red (200, 40, 60) is read as green (105, 255, 44). What converts is photometric="rgb" with
# compression="jpeg" and a subsampling; the file then says YCBCR by itself.
#
# Tested: tifffile 2026.3.3 with imagecodecs 2026.3.6, read by Pillow 12.3.0, 2026-12-01.
#
# Who is hurt: whoever writes slides or patches as TIFF, and trains on colors that no scanner made.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check tifffile==2026.3.3 imagecodecs==2026.3.6 pillow==12.3.0
"$folder/env/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings

import numpy as np
import PIL
import tifffile
from PIL import Image

warnings.simplefilter("error")
print("tifffile", tifffile.__version__, "Pillow", PIL.__version__)
red = np.zeros((64, 64, 3), np.uint8)
red[:] = (200, 40, 60)
seen = {}
for name, options in {
    "photometric='ycbcr'": {"photometric": "ycbcr"},
    "photometric='rgb', subsampling=(2, 2)": {"photometric": "rgb", "subsampling": (2, 2)},
}.items():
    path = f"{sys.argv[1]}/a.tif"
    tifffile.imwrite(path, red, tile=(64, 64), compression="jpeg", metadata=None, **options)
    with tifffile.TiffFile(path) as file:
        says = file.pages[0].photometric.name
    seen[name] = np.asarray(Image.open(path).convert("RGB"))[32, 32].astype(int)
    print(f"{name}: the file says {says}; written (200, 40, 60), read {tuple(seen[name].tolist())}")
wrong, right = seen.values()
assert abs(wrong - (200, 40, 60)).max() > 50, "changed: photometric='ycbcr' converts now"
assert abs(right - (200, 40, 60)).max() <= 3, "changed: photometric='rgb' does not convert any more"
print("as described")
PYTHON
