"""One open slide for several threads and processes, until it is closed."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.errors import SlideError
from eosin.slides.opening import open_slide
from eosin.slides.tiff import TiffSlide
from eosin.slides.tiles import Tile, Tiles


def test_the_cache_is_bounded(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    slide = TiffSlide(write_tiff(tmp_path / "s.tif", picture(1200, 900)))
    slide.tiles.most = 3 * 128 * 128 * 3 + 10
    first = slide.region(0, 0, 0, 1200, 900)[0]
    assert 0 < slide.tiles.used <= slide.tiles.most
    np.testing.assert_array_equal(slide.region(0, 0, 0, 1200, 900)[0], first)


def test_a_tile_is_decoded_once(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    slide = TiffSlide(write_tiff(tmp_path / "s.tif", picture(300, 200)))
    assert slide.tile(0, 1, 0) is slide.tile(0, 1, 0)


def test_a_tile_larger_than_the_cache() -> None:
    tiles = Tiles(10)
    tile = Tile(np.zeros((5, 5, 3), np.uint8), None)
    assert tiles.get("a", lambda: tile) is tile
    assert tiles.used == 0


def test_many_threads_read_one_slide(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    base = picture(1200, 900)
    slide = TiffSlide(write_tiff(tmp_path / "s.tif", base, compression="zlib"))
    slide.tiles.most = 200_000
    wrong: list[int] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(40):
            x, y = int(rng.integers(0, 1000)), int(rng.integers(0, 700))
            if not np.array_equal(
                slide.region(0, x, y, 200, 200)[0], base[y : y + 200, x : x + 200]
            ):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert slide.tiles.used <= slide.tiles.most


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("reader", ["eosin", "openslide"])
def test_a_forked_process_reads_with_handles_of_its_own(
    tmp_path: Path, picture: Any, write_tiff: Any, reader: str
) -> None:
    base = picture(300, 200)
    slide = open_slide(write_tiff(tmp_path / "s.tif", base), reader=reader)
    slide.region(0, 0, 0, 10, 10)
    lock = slide.tiles._lock if isinstance(slide, TiffSlide) else threading.Lock()
    with lock:  # as another thread may have it at that moment
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(slide.region(0, 0, 0, 300, 200)[0], base) else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(slide.region(0, 0, 0, 300, 200)[0], base)


@pytest.mark.parametrize("reader", ["eosin", "openslide"])
def test_a_closed_slide_reads_no_more(
    tmp_path: Path, picture: Any, write_tiff: Any, reader: str
) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    slide = open_slide(write_tiff(tmp_path / "s.tif", picture(300, 200)), reader=reader)
    slide.region(0, 0, 0, 10, 10)
    thread = threading.Thread(target=slide.region, args=(0, 0, 0, 10, 10))
    thread.start()
    thread.join()
    slide.close()
    slide.close()
    with pytest.raises(SlideError, match="is closed"):
        slide.region(0, 200, 100, 10, 10)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before


def test_no_such_level(tmp_path: Path, picture: Any, write_tiff: Any) -> None:
    path = write_tiff(tmp_path / "s.tif", picture(300, 200))
    for reader in ("eosin", "openslide"):
        slide = open_slide(path, reader=reader)
        for level in (99, -1):
            with pytest.raises(SlideError, match="has no level"):
                slide.region(level, 0, 0, 1, 1)
