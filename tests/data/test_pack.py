from __future__ import annotations

import gc
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eosin.data import pack as pack_module
from eosin.data.decode import decode_pillow
from eosin.data.pack import pack
from eosin.data.store import PatchStore
from eosin.errors import DiskError, RejectsError, SourceError, UserError

SAMPLE = Path(__file__).parents[2] / ".." / "shared" / "data" / "idc-sample.zip"


def png(seed: int, height: int = 6, width: int = 5, level: int = 6) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG", compress_level=level)
    return out.getvalue()


def name(case: str, x: int, label: int, above: str = "") -> str:
    return f"{above}{case}/{label}/{case}_idx5_x{x}_y51_class{label}.png"


def write(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def kaggle(count: int = 40) -> dict[str, bytes]:
    """Four cases, ten patches each, every one a second time in the nested folder."""
    members = {}
    for k in range(count):
        for above in ("", "IDC_regular_ps50_idx5/"):
            members[name(str(8860 + k % 4), 50 * (k // 4) + 1, k % 2, above)] = png(k)
    return members


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_kaggle_layout(tmp_path):
    members = kaggle()
    store = pack(write(tmp_path / "a.zip", members), tmp_path / "out" / "s")
    assert store.info["layout"] == "idc"
    assert (len(store), store.info["nested_copies"], store.info["cases"]) == (40, 40, 4)
    assert store.classes == ("negative", "positive")
    assert store.mpp == 4.0
    assert store.cases_known
    assert not store.made_up
    assert store.info["duplicates"] == 0
    assert store.index["x"].head(3).to_list() == [1, 51, 101]
    for row, patch in zip(store.index.to_dicts(), store.patches, strict=True):
        np.testing.assert_array_equal(patch, decode_pillow(members[row["source"]]))
        assert row["case"] == row["slide"] == row["source"].split("/")[0]
        assert row["label"] == int(row["source"].split("/")[1])
    assert left(tmp_path / "out") == ["s"]


def test_zip_folder_and_any_number_of_threads_give_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("eosin.data.chunks._CHUNK_PATCHES", 3)
    path = write(tmp_path / "a.zip", kaggle())
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "a")
    stores = [pack(path, tmp_path / f"s{k}", workers=k) for k in (1, 2, 7)]
    stores.append(pack(tmp_path / "a", tmp_path / "f"))
    assert len({store.digest for store in stores}) == 1
    assert stores[0].info["nested_copies"] == stores[3].info["nested_copies"] == 40
    for file in ("patches.npy", "index.parquet", "store.json"):
        assert (tmp_path / "s1" / file).read_bytes() == (tmp_path / "s7" / file).read_bytes()


def test_nested_copies_are_known_by_content(tmp_path):
    nested = "IDC_regular_ps50_idx5/"
    members = {
        name("1", 1, 0): png(1), name("1", 1, 0, nested): png(1, level=0),
        name("1", 51, 0): png(2), name("1", 51, 0, nested): png(3),
        name("1", 101, 0): b"broken", name("1", 101, 0, nested): png(4),
        name("1", 151, 0): png(1), name("2", 1, 1): png(2),
    }  # fmt: skip
    store = pack(write(tmp_path / "a.zip", members), tmp_path / "s", max_rejects=1)
    assert store.info["nested_copies"] == 1
    assert store.info["nested_differing"] == 1
    assert store.info["rejects_count"] == 1
    assert len(store) == 6
    # png(1) again in its case, png(2) again with the other label.
    assert store.info["duplicates"] == 2
    assert store.info["conflicts"]["count"] == 1
    assert [row["label"] for row in store.info["conflicts"]["listed"][0]] == [
        "negative", "positive",
    ]  # fmt: skip


def test_sizes(tmp_path):
    members = {name("1", 50 * k + 1, 0): png(k) for k in range(5)}
    members[name("2", 1, 1)] = png(9, 3, 5)
    members[name("2", 51, 1)] = png(10, 6, 7)
    path = write(tmp_path / "a.zip", members)
    padded = pack(path, tmp_path / "s", max_rejects=1)
    assert padded.patch_size == (6, 5)
    assert padded.info["reject_reasons"] == {"too large": 1}
    assert padded.info["other_sizes"] == 1
    edge = padded.index.filter(padded.index["case"] == "2").row(0, named=True)
    assert (edge["width"], edge["height"]) == (5, 3)
    assert (padded.patches[5, 3:] == 255).all()
    resized = pack(path, tmp_path / "r", fit="resize", size=(8, 8))
    assert (resized.patch_size, len(resized), resized.info["other_sizes"]) == ((8, 8), 7, 7)
    refused = pack(path, tmp_path / "j", fit="reject", max_rejects=0.5)
    assert refused.info["reject_reasons"] == {"odd size": 2}
    with pytest.raises(SourceError, match="unknown --fit"):
        pack(path, tmp_path / "x", fit="stretch")


def test_rejects_are_listed_and_limited(tmp_path):
    members = {name("1", 50 * k + 1, 0): png(k) for k in range(9)}
    members[name("1", 9999, 1)] = png(1)[:-20]
    members["1/0/1_idx5_x1_y1_class1.png"] = png(1)
    members["1/0/readme.png"] = png(1)
    path = write(tmp_path / "a.zip", members)
    out = tmp_path / "out"
    with pytest.raises(
        RejectsError, match=r"3 of 12 images .* than --max-rejects 1%: .*truncated 1"
    ):
        pack(path, out / "s")
    assert left(out) == []
    store = pack(path, out / "s", max_rejects=0.25)
    assert store.info["reject_reasons"] == {"contradiction": 1, "truncated": 1, "unknown name": 1}
    assert [reject["source"] for reject in store.info["rejects"]] == [
        "1/0/1_idx5_x1_y1_class1.png", "1/0/readme.png", name("1", 9999, 1),
    ]  # fmt: skip
    with pytest.raises(SourceError, match="contains nothing usable"):
        pack(write(tmp_path / "b.zip", {name("1", 1, 0): b""}), out / "t", max_rejects=1.0)
    assert left(out) == ["s"]


def test_an_interrupt_or_a_failure_leaves_nothing(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zip", kaggle())

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(path, tmp_path / "out" / "s", progress=stop)
    assert left(tmp_path / "out") == []

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("polars.DataFrame.write_parquet", full)
    with pytest.raises(
        DiskError, match=r"s cannot be written: the disk is full \(.*free space there"
    ):
        pack(path, tmp_path / "out" / "s")
    assert left(tmp_path / "out") == []


def test_the_disk_is_asked_along_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr("eosin.data.store._SYNC_BYTES", 50)
    monkeypatch.setattr("eosin.data.chunks._CHUNK_PATCHES", 3)
    path = write(tmp_path / "a.zip", kaggle())
    asked = []
    monkeypatch.setattr("os.fsync", lambda number: asked.append(number))
    assert len(pack(path, tmp_path / "s")) == 40
    assert len(asked) > 1

    def broken(number):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(DiskError, match="t cannot be written: the disk reports an error"):
        pack(path, tmp_path / "t")
    assert left(tmp_path) == ["a.zip", "s"]
    assert gc.isenabled()


def test_an_existing_store_is_replaced_only_on_request(tmp_path):
    path = write(tmp_path / "a.zip", kaggle())
    first = pack(path, tmp_path / "s")
    with pytest.raises(UserError, match="add --force"):
        pack(path, tmp_path / "s")
    again = pack(path, tmp_path / "s", force=True, mpp=2.0)
    assert (again.mpp, again.digest) == (2.0, first.digest)
    with pytest.raises(SourceError, match="already a packed store"):
        pack(tmp_path / "s", tmp_path / "t")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="contains other files; choose another name"):
        pack(path, tmp_path / "folder", force=True)
    assert (tmp_path / "folder" / "notes.txt").read_text() == "mine"


def test_made_up_and_other_files(tmp_path):
    members = {**kaggle(8), "MADE_UP.txt": b"", "notes.csv": b""}
    store = pack(write(tmp_path / "a.zip", members), tmp_path / "s")
    assert store.made_up
    assert store.info["ignored"] == 2
    assert PatchStore.open(tmp_path / "s").made_up


def test_breakhis_nct_and_class_folders(tmp_path):
    members = {
        "x/benign/40X/SOB_B_A-14-1-40-001.png": png(1),
        "x/malignant/400X/SOB_M_DC-14-2523-400-001.png": png(2),
    }
    path = write(tmp_path / "b.zip", members)
    store = pack(path, tmp_path / "b")
    assert store.classes == ("benign", "malignant")
    assert store.cases.tolist() == ["14-1", "14-2523"]
    assert store.index["subtype"].to_list() == ["A", "DC"]
    assert any("magnifications 40x, 400x" in note for note in store.info["notes"])
    assert len(pack(path, tmp_path / "b40", include="*-40-*")) == 1
    out = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(out, "TIFF")
    path = write(tmp_path / "n.zip", {"NCT/TUM/TUM-AAAA.tif": out.getvalue()})
    store = pack(path, tmp_path / "n")
    assert (store.mpp, len(store.classes), store.labels.tolist()) == (0.5, 9, [8])
    assert not store.cases_known
    assert "does not give the case" in store.info["notes"][0]
    path = write(tmp_path / "c.zip", {"train/b/1.png": png(1), "test/a/1.png": png(2)})
    store = pack(path, tmp_path / "c")
    assert store.index["part"].to_list() == ["test", "train"]
    assert store.labels.tolist() == [0, 1]


def test_letters_behind_a_number_are_one_case(tmp_path):
    names = ("14-22549AB", "14-22549CD", "14-9")
    members = {f"train/SOB_B_A-{name}-40-001.png": png(k) for k, name in enumerate(names)}
    members["test/SOB_M_DC-14-2523-40-001.png"] = png(9)
    store = pack(write(tmp_path / "b.zip", members), tmp_path / "s")
    assert sorted(store.cases) == ["14-22549", "14-22549", "14-2523", "14-9"]
    assert "14-22549AB" in store.index["slide"].to_list()
    assert sorted(store.index["part"]) == ["test", "train", "train", "train"]
    assert "one case: 14-22549AB, 14-22549CD (1 cases)" in store.info["notes"][0]
    # One part alone divides nothing.
    del members["test/SOB_M_DC-14-2523-40-001.png"]
    alone = pack(write(tmp_path / "a.zip", members), tmp_path / "t")
    assert alone.index["part"].to_list() == [""] * 3


def test_both_sets_of_nct_crc_keep_their_parts(tmp_path):
    out = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(out, "TIFF")
    train, val = "NCT-CRC-HE-100K/TUM/TUM-AAAA.tif", "CRC-VAL-HE-7K/TUM/TUM-TCGA-AAAA.tif"
    path = write(tmp_path / "n.zip", dict.fromkeys((train, val), out.getvalue()))
    assert sorted(pack(path, tmp_path / "n").index["part"]) == ["test", "train"]
    twin = train.replace("100K", "100K-NONORM")
    path = write(tmp_path / "o.zip", dict.fromkeys((train, twin, val), out.getvalue()))
    with pytest.raises(SourceError, match="the same patches in other colors; keep one: --include"):
        pack(path, tmp_path / "o")
    assert len(pack(path, tmp_path / "o", include=["*NONORM*", "*VAL*"])) == 2


def test_spellings_are_one_or_asked_about(tmp_path):
    members = {f"{('Tumor', 'tumor ')[k > 8]}/{'P1' if k % 2 else ' P1'}/{k}.png": png(k)
               for k in range(11)}  # fmt: skip
    members |= {f"normal/P2/{k}.png": png(20 + k) for k in range(9)}
    members |= {f"normal/.cache/{k}.png": png(20 + k) for k in range(9)}
    store = pack(write(tmp_path / "a.zip", members), tmp_path / "s")
    assert store.info["counts"] == {"Tumor": 11, "normal": 9}
    assert sorted(set(store.cases)) == ["P1", "P2"]
    notes = "\n".join(store.info["notes"])
    assert "'Tumor' (9) and 'tumor ' (2) are one class, Tumor" in notes
    assert "' P1' (6) and 'P1' (5) are one case, P1" in notes
    assert "left out: 9 hidden images or thumbnails (in normal/.cache)" in notes
    stray = write(
        tmp_path / "c.zip", {"1.png": png(1), "normal/2.png": png(2), "fat/3.png": png(3)}
    )
    with pytest.raises(RejectsError, match=r"1\.png .unknown name: it is not below a folder of a"):
        pack(stray, tmp_path / "t")
    members = {f"{name}/{k}.png": png(k) for name in ("Tumor", "tumor", "fat") for k in range(20)}
    path = write(tmp_path / "b.zip", members)
    with pytest.raises(SourceError, match=r"'Tumor' .20. and 'tumor' .20. .* --levels 'label'"):
        pack(path, tmp_path / "t")
    assert pack(path, tmp_path / "t", levels="label").info["counts"] == {"Tumor": 40, "fat": 20}


def test_what_eosin_made_in_a_source_is_left_out(tmp_path):
    for label in ("fat", "tumor"):
        (tmp_path / "d" / label).mkdir(parents=True)
        for k in range(9):
            (tmp_path / "d" / label / f"{k}.png").write_bytes(png(k))
    store = pack(tmp_path / "d", tmp_path / "d" / "mine.store")
    pictures = tmp_path / "d" / "mine.store.pictures"
    pictures.mkdir()
    (pictures / "patches.png").write_bytes(png(1))
    table = "path,label\n" + "".join(f"{k}.png,{k}\n" for k in range(9))
    (tmp_path / "d" / "mine.store" / "suspects.csv").write_text(table)
    again = pack(tmp_path / "d", tmp_path / "s")
    assert again.digest == store.digest
    assert "left out: 1 image in folders of eosin (mine.store/, ...)" in again.info["notes"]


def test_cases_by_a_pattern(tmp_path):
    members = {f"{label}/A{k % 3}_{k}.png": png(k + 50 * j)
               for j, label in enumerate(("fat", "tumor")) for k in range(12)}  # fmt: skip
    members["fat/other.png"] = png(99)
    path = write(tmp_path / "a.zip", members)
    store = pack(path, tmp_path / "s", case_pattern="^(A[0-9])_", max_rejects=1)
    assert store.info["cases"] == 3
    assert store.cases_known
    assert store.info["reject_reasons"] == {"unknown case": 1}
    assert store.info["reading"] == {
        "levels": "label", "case_pattern": "^(A[0-9])_",
        "text": "label: 2 classes (fat 13, tumor 12), 3 cases by --case-pattern",
    }  # fmt: skip
    single = pack(path, tmp_path / "t", case_pattern="([^/]+)$")
    assert "13 cases by --case-pattern for 25 images" in single.info["notes"][0]
    with pytest.raises(SourceError, match="has 0 groups"):
        pack(path, tmp_path / "u", case_pattern="A")
    with pytest.raises(SourceError, match=r"nothing usable.*pattern does not match the name"):
        pack(path, tmp_path / "u", case_pattern="(Z)")
    idc = pack(write(tmp_path / "k.zip", kaggle()), tmp_path / "i", case_pattern="^(\\d)")
    assert idc.info["cases"] == 1
    with pytest.raises(SourceError, match="--levels is for folders; layout idc has its own"):
        pack(tmp_path / "k.zip", tmp_path / "u", layout="idc", levels="label")
    with pytest.raises(SourceError, match="no list of levels"):
        pack(path, tmp_path / "u", levels="labels")
    assert left(tmp_path) == ["a.zip", "i", "k.zip", "s", "t"]


def test_tiles_of_qupath(tmp_path):
    members = {
        f"{label}/slide_{k % 4}.svs [d=2,5,x={800 * k},y={j},w=200,h=200].png": png(k + 50 * j)
        for j, label in enumerate(("Stroma", "Tumor")) for k in range(8)
    }  # fmt: skip
    members |= {name.replace("].png", "]-labelled.png"): png(0) for name in members}
    store = pack(write(tmp_path / "a.zip", members), tmp_path / "s")
    row = store.index.row(-1, named=True)
    assert (row["case"], row["slide"], row["x"], row["y"]) == ("slide_3", "slide_3", 5600, 1)
    assert (len(store), store.info["cases"], store.info["ignored"]) == (16, 4, 16)
    notes = "\n".join(store.info["notes"])
    assert "left out: 16 masks" in notes
    assert "QuPath's downsample is 2.5: --mpp is" in notes
    assert "4 cases from QuPath tile names, with x and y" in store.info["reading"]["text"]
    members["Tumor/slide_1 [x=99999999999,y=0,w=2,h=2].png"] = png(1)
    bad = pack(write(tmp_path / "b.zip", members), tmp_path / "t", max_rejects=1)
    assert bad.info["reject_reasons"] == {"impossible position": 1}


def test_copies_with_another_label_or_part_are_kept(tmp_path):
    members = {f"{part}/{label}/P{k}/1.png": png(k) for k in range(4)
               for part in ("train", "test") for label in ("fat", "tumor")}  # fmt: skip
    members |= {name.replace("/P0/", "/P0/again/"): data for name, data in members.items()}
    store = pack(write(tmp_path / "a.zip", members), tmp_path / "s")
    assert (len(store), store.info["nested_copies"]) == (16, 4)
    note = "the source has parts (train 8, test 8): eosin split --by given uses them"
    assert note in store.info["notes"]
    assert store.info["conflicts"]["count"] == 4


def test_progress_counts_every_image(tmp_path):
    calls: list[tuple[int, int]] = []
    members = {**kaggle(8), "1/0/other.png": b""}
    pack(write(tmp_path / "a.zip", members), tmp_path / "s", max_rejects=1,
         progress=lambda done, total: calls.append((done, total)))  # fmt: skip
    assert calls[-1] == (17, 17)


def test_long_lists_are_cut_but_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(pack_module, "LISTED_REJECTS", 2)
    members = {**kaggle(8), **{name("7", k, 0): b"x" for k in range(5)}}
    store = pack(write(tmp_path / "a.zip", members), tmp_path / "s", max_rejects=5)
    info = json.loads((tmp_path / "s" / "store.json").read_text("utf-8"))
    assert (len(info["rejects"]), info["rejects_count"]) == (2, 5)
    assert store.info["reject_reasons"] == {"not an image": 5}


@pytest.mark.real
@pytest.mark.skipif(not SAMPLE.exists(), reason="the real sample is not here")
def test_the_real_sample(tmp_path):
    store = pack(SAMPLE, tmp_path / "s")
    assert (len(store), store.info["cases"]) == (22_237, 150)
    assert store.info["nested_copies"] == 1_528
    assert store.info["other_sizes"] == 111
    assert store.info["rejects_count"] == 0
    assert store.patch_size == (50, 50)
    with zipfile.ZipFile(SAMPLE) as archive:
        for row in range(0, len(store), 997):
            wanted = decode_pillow(archive.read(store.index["source"][row]))
            height, width = wanted.shape[:2]
            np.testing.assert_array_equal(store.patches[row, :height, :width], wanted)
