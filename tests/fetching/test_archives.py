"""Small made-up archives of the forms of the public ones: fetched from 127.0.0.1, then packed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shlex
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from tests.splitting.test_audit import pictures
from typer.testing import CliRunner

from eosin.cli.fetch import fetch as fetch_command
from eosin.cli.pack import pack as pack_command
from eosin.data.store import PatchStore
from eosin.errors import DownloadError, UserError
from eosin.fetching import servers
from eosin.fetching.archives import ARCHIVES, Item, find_archive
from eosin.fetching.fetch import RECORD, fetch_files
from eosin.splitting.audit import audit
from eosin.splitting.splits import by_case, by_patch

PCAM = "camelyonpatch_level_2_split_"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(servers, "PATIENCE", servers.Patience(attempts=2, backoff_s=0.01))
    monkeypatch.chdir(tmp_path)


def image(seed: int, suffix: str = "PNG", side: int = 24) -> bytes:
    buffer = io.BytesIO()
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(buffer, suffix)
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return buffer.getvalue()


def nct_crc() -> dict[str, bytes]:
    return {
        f"{top}.zip": zipped(
            {
                f"{top}/{c}/{c}-AAAA{k}.tif": image(k, "TIFF")
                for c in ("ADI", "TUM")
                for k in (1, 2, 3)
            }
        )
        for top in ("NCT-CRC-HE-100K", "CRC-VAL-HE-7K")
    }


def breakhis() -> dict[str, bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for k, (kind, times) in enumerate((a, b) for a in "BM" for b in ("40", "400")):
            body, top = image(k), "BreaKHis_v1/histology_slides/breast"
            name = f"{top}/SOB_{kind}_{'A' if kind == 'B' else 'DC'}-14-{k}-{times}-001.png"
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return {"BreaKHis_v1.tar.gz": buffer.getvalue()}


def pcam() -> dict[str, bytes]:
    h5py = pytest.importorskip("h5py")
    files = {}
    for part, count in (("train", 6), ("valid", 3), ("test", 3)):
        images = pictures(count, seed=count)
        for name, values in (("x", images), ("y", np.arange(count).reshape(-1, 1, 1, 1) % 2)):
            buffer = io.BytesIO()
            with h5py.File(buffer, "w") as file:
                file[name] = values.astype(np.uint8)
            files[f"{PCAM}{part}_{name}.h5.gz"] = gzip.compress(buffer.getvalue())
        rows = "".join(f"{50 * k},0,True,True,{part}_{k // 2}\n" for k in range(count))
        table = "coord_x,coord_y,tumor_patch,center_tumor_patch,wsi\n" + rows
        files[f"{PCAM}{part}_meta.csv"] = table.encode()
    return files


def bach() -> dict[str, bytes]:
    top = "ICIAR2018_BACH_Challenge"
    photos = {
        f"{top}/Photos/{name}/{name[0].lower()}{k:03d}.tif": image(k, "TIFF")
        for name in ("Normal", "Benign", "InSitu", "Invasive")
        for k in range(2)
    }
    return {f"{top}.zip": zipped(photos | {f"{top}/WSI/gt_thumbnails/A01.png": image(99)})}


def medmnist() -> dict[str, bytes]:
    buffer = io.BytesIO()
    arrays = {}
    for part, count in (("train", 6), ("val", 3), ("test", 3)):
        arrays[f"{part}_images"] = pictures(count)[:, :28, :28]
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.uint8).reshape(-1, 1) % 3
    np.savez(buffer, **arrays)
    return {"pathmnist.npz": buffer.getvalue()}


def serve(name: str, files: dict[str, bytes], server: Any, patch: pytest.MonkeyPatch) -> list[str]:
    """Put files in place of an archive's own, with checksums where it has some; fetch's options."""
    real = {item.name: item for item in ARCHIVES[name].items}
    assert set(real) == set(files)
    items = []
    for each, body in files.items():
        kind, colon, _ = real[each].checksum.partition(":")
        digest = f"{kind}:{hashlib.new(kind, body).hexdigest()}" if colon else ""
        items.append(Item(each, digest, len(body)))
        server.files[f"/{name}/{each}"] = body
    patch.setitem(ARCHIVES, name, replace(ARCHIVES[name], items=tuple(items)))
    return [name, "--mirror", f"{server.url}/{name}"]


def run(command: Callable[..., Any], *words: str) -> Any:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(words))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def packed(commands: list[str]) -> list[PatchStore]:
    """The stores that the commands of a message make, run as they are."""
    stores = []
    for command in commands:
        words = shlex.split(command)
        assert words[:2] == ["eosin", "pack"]
        run(pack_command, *words[2:])
        stores.append(PatchStore.open(words[3]))
    return stores


@pytest.mark.parametrize(
    ("name", "make", "patches", "classes"),
    [
        ("nct-crc", nct_crc, [6, 6], 9),
        ("pcam", pcam, [12], 2),
        ("bach", bach, [8], 4),
        ("pathmnist", medmnist, [12], 3),
        ("breakhis", breakhis, [2], 2),
    ],
)
def test_an_archive_is_fetched_and_packed_by_the_command_that_it_names(
    name: str, make: Any, patches: list[int], classes: int, file_server: Any,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    options = serve(name, make(), file_server, monkeypatch)
    done = run(fetch_command, *options)
    archive = ARCHIVES[name]
    assert f"License: {archive.license}" in done.stdout
    assert f"Cite: {archive.citation}" in done.stdout
    commands = [line[6:] for line in done.stdout.splitlines() if line.startswith("Next: ")]
    assert commands == archive.commands(Path(name))
    again = run(fetch_command, *options, "--json")
    assert not any(file["new"] for file in json.loads(again.stdout)["files"])
    stores = packed(commands)
    assert [len(store) for store in stores] == patches
    assert {len(store.classes) for store in stores} == {classes}


def test_the_form_of_mhist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bmirds\.github\.io/MHIST") as told:
        run(fetch_command, "mhist")
    command = str(told.value).splitlines()[-1].strip()
    (tmp_path / "mhist" / "images").mkdir(parents=True)
    votes = "Number of Annotators who Selected SSA (Out of 7)"
    rows = f"Image Name,Majority Vote Label,{votes},Partition\n"
    for k in range(8):
        (tmp_path / "mhist" / "images" / f"MHIST_{k}.png").write_bytes(image(k))
        rows += f"MHIST_{k}.png,{('HP', 'SSA')[k % 2]},{k % 8},{'train' if k < 6 else 'test'}\n"
    (tmp_path / "mhist" / "annotations.csv").write_text(rows)
    (store,) = packed([command])
    assert (len(store), store.classes) == (8, ("HP", "SSA"))
    assert set(store.index["part"].to_list()) == {"train", "test"}


def test_turned_and_flipped_images_of_lc25000_are_found(tmp_path: Path) -> None:
    members = {}
    for k, picture in enumerate(pictures(12, seed=3)):
        for view in range(4):
            buffer = io.BytesIO()
            Image.fromarray(np.rot90(picture, view)[:, :: 1 if k % 2 else -1]).save(buffer, "PNG")
            kind = ("lung_image_sets/lung_n", "colon_image_sets/colon_aca")[k % 2]
            members[f"lung_colon_image_set/{kind}/{k}_{view}.png"] = buffer.getvalue()
    (tmp_path / "a.zip").write_bytes(zipped(members))
    (store,) = packed(find_archive("lc25000").commands(Path("a.zip")))
    assert audit(store, by_patch(store)).verdict == "leak"
    assert audit(store, by_case(store)).verdict == "unknown"


def test_a_torn_download_resumes_and_a_wrong_one_leaves_nothing(
    file_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {"BreaKHis_v1.tar.gz": gzip.compress(np.random.default_rng(0).bytes(60_000))}
    serve("breakhis", files, file_server, monkeypatch)
    archive, address = ARCHIVES["breakhis"], f"{file_server.url}/breakhis"
    path = "/breakhis/BreaKHis_v1.tar.gz"
    file_server.faults[path] = [("drop", 20_000), ("drop", 10)]
    with pytest.raises(DownloadError, match="kept"):
        fetch_files(archive, tmp_path / "b", mirrors=[address])
    assert fetch_files(archive, tmp_path / "b", mirrors=[address])[0].new
    assert file_server.of(path)[-1]["Range"]
    first = json.loads((tmp_path / "b" / RECORD).read_text())
    assert first["BreaKHis_v1.tar.gz"].startswith("sha256:")
    # Another file under the same address is not what was fetched first.
    file_server.files[path] = gzip.compress(b"another")
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch_files(archive, tmp_path / "b", mirrors=[address], force=True)
    assert json.loads((tmp_path / "b" / RECORD).read_text()) == first
    for body in (b"<html>sign in</html>", gzip.compress(bytes(9_000))[:-9]):
        file_server.files[path] = body
        with pytest.raises(DownloadError, match="not a complete gzip file"):
            fetch_files(archive, tmp_path / "c", mirrors=[address])
        assert list((tmp_path / "c").iterdir()) == []


def test_the_list_names_everything() -> None:
    shown = json.loads(run(fetch_command, "--list", "--json").stdout)["archives"]
    assert [row["data_set"] for row in shown] == list(ARCHIVES)
    assert all(row["license"] and row["citation"] and row["patches"] for row in shown)
    assert {row["data_set"]: row["needs"] for row in shown}["mhist"] == "form, by mail"
    text = run(fetch_command, "--list").stdout
    assert all(name in text for name in ARCHIVES)


def test_checksums_are_well_formed() -> None:
    lengths = {"md5": 32, "sha256": 64}
    for archive in ARCHIVES.values():
        for item in archive.items:
            kind, _, digest = item.checksum.partition(":")
            assert not kind or (len(digest) == lengths[kind] and int(digest, 16) > 0)
