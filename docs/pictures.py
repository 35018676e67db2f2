"""Makes the pictures of the README and the site, from made-up cases: `make pictures`.

    python docs/pictures.py [RUN]

Trains a run of the demo's size in a temporary folder (or takes the folder RUN) and photographs
parts of its report with Chromium. Each picture must stay small, and shows that it is made up.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from eosin.reporting.browser import find_browser

FOLDER = Path(__file__).parent / "pictures"
LARGEST_BYTES = 300_000
#: Name -> (id of the report's section or "" for its top, height in CSS pixels or 0 for as much as
#: the section's first picture needs).
SHOTS = {"report": ("", 752), "report-maps": ("mosaics", 0), "report-decisions": ("operating", 700)}
WIDTH = 1180
#: Where the section stands, and its first picture.
PLACE = """(id) => {
  const section = document.getElementById(id);
  const picture = section.querySelector("figure, img");
  const top = section.querySelector("h2").getBoundingClientRect().top + scrollY;
  const {left, right} = section.getBoundingClientRect();
  return [left, top, right, picture ? picture.getBoundingClientRect().bottom + scrollY : top];
}"""


def made_up_run(folder: Path) -> Path:
    """A trained and evaluated run on 24 made-up cases, with its report."""
    from eosin.synthetic.archive import write_archive

    write_archive(folder / "made-up.zip", cases=24, seed=0)
    for words in (
        ("pack", "made-up.zip", "made-up.store"),
        ("split", "made-up.store", "--by", "case", "-o", "case.split.csv"),
        (
            "train", "made-up.store", "--split", "case.split.csv", "--recipe", "compact",
            "--set", "epochs=6", "-o", "run",
        ),
    ):  # fmt: skip
        subprocess.run([sys.executable, "-m", "eosin", *words], cwd=folder, check=True)
    return folder / "run"


def photograph(page: Path) -> dict[str, bytes]:
    """Name -> WebP of every shot, in light and in dark."""
    from playwright.sync_api import sync_playwright

    found = {}
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(find_browser()), args=arguments)
        for scheme in ("light", "dark"):
            for name, (section, height) in SHOTS.items():
                context = browser.new_context(
                    viewport={"width": WIDTH, "height": height or 900},
                    color_scheme=scheme,
                    device_scale_factor=1.5,
                    reduced_motion="reduce",
                )
                tab: Any = context.new_page()
                tab.goto(page.resolve().as_uri())
                clip = None
                if section:
                    left, top, right, bottom = tab.evaluate(PLACE, section)
                    clip = {"x": left - 24, "y": top - 24, "width": right - left + 48}
                    clip["height"] = height or bottom - top + 48
                suffix = "" if scheme == "light" else "-dark"
                shot = tab.screenshot(full_page=bool(clip), clip=clip)
                found[f"{name}{suffix}.webp"] = as_webp(shot)
                context.close()
        browser.close()
    return found


def as_webp(png: bytes) -> bytes:
    """The best quality that stays below the limit."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in (90, 82, 74, 66, 58, 50):
        kept = io.BytesIO()
        picture.save(kept, "WEBP", quality=quality, method=6)
        if kept.tell() <= LARGEST_BYTES:
            return kept.getvalue()
    raise SystemExit(f"a picture of {picture.size} px does not fit into {LARGEST_BYTES} bytes")


def main(arguments: list[str]) -> int:
    """Make all pictures; returns the exit code."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="eosin-pictures-") as folder:
        run = Path(arguments[0]) if arguments else made_up_run(Path(folder))
        for name, content in photograph(run / "report.html").items():
            (FOLDER / name).write_bytes(content)
            print(f"{FOLDER.name}/{name}  {len(content) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
