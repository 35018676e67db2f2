"""The split's CSV: what is written is read back; what is broken is one clear sentence."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import SplitError
from eosin.splitting.split_file import Split, read_split, split_text, write_split
from eosin.splitting.split_summary import summarize

HEAD = "# eosin split 1\n# scheme: case\n# seed: 42\n# store: abc\n# leaking: no\n"


def same(one: Split, two: Split) -> bool:
    keys = ("scheme", "store_digest", "unit", "names", "folds", "seed", "leaking", "notes", "marks")
    return (
        all(getattr(one, key) == getattr(two, key) for key in keys)
        and dict(one.headers) == dict(two.headers)
        and one.codes.tolist() == two.codes.tolist()
    )


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029"), min_size=1
).map(str.strip).filter(bool)  # fmt: skip


@given(names=st.lists(NAMES, min_size=1, max_size=9, unique=True), data=st.data())
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_round_trip_of_any_names(tmp_path: Path, names: list[str], data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.integers(-1, 2), min_size=len(names), max_size=len(names)))
    split = Split(
        "case", "abc", "case", np.array(codes, np.int16), tuple(names), seed=7,
        notes=("a: b", "c"), marks=("m, n",), headers={"fractions": "60/20/20"},
    )  # fmt: skip
    write_split(split, tmp_path / "s.csv")
    assert same(read_split(tmp_path / "s.csv"), split)


def test_round_trip_of_patches_and_folds(tmp_path: Path) -> None:
    for split in (
        Split("patch", "abc", "patch", np.array([0, 2, -1, 1], np.int16), leaking=True),
        Split("folds", "abc", "case", np.array([0, 2, -1], np.int16), ("a", "b", "c"), folds=3),
        Split("folds", "abc", "patch", np.array([0, 1, 2, 2], np.int16), folds=3),
    ):
        write_split(split, tmp_path / "s.csv")
        assert same(read_split(tmp_path / "s.csv"), split)
        assert [p.name for p in tmp_path.iterdir()] == ["s.csv"]


def test_a_mark_cannot_break_the_header() -> None:
    split = Split("case", "abc", "case", np.zeros(1, np.int16), ("a",), marks=("x\ny",))
    assert "# mark: x y\n" in split_text(split)


def test_edited_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(
        "\ufeff" + HEAD.replace("\n", "\r\n") + "\r\ncase,part\r\n a , valid \r\nb,\r\n"
    )
    split = read_split(path)
    assert split.names == ("a", "b")
    assert split.codes.tolist() == [1, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a split of eosin"),
        ("case,part\na,train\n", "is not a split of eosin"),
        (HEAD.replace("split 1", "split 2") + "case,part\n", "has split format 2"),
        (HEAD + "a,b\n", "the columns are not"),
        (HEAD, "the columns are not"),
        (HEAD + "case,part\na,train\na,val\n", "line 8: case 'a' is listed twice"),
        (HEAD + "case,part\na,tset\n", "line 7: 'tset' is not a part; did you mean test"),
        (HEAD + "case,part\na,train,x\n", "line 7: 3 columns"),
        (HEAD + "patch,part\n1,train\n", "line 7: patch '1' where 0 is expected"),
        (HEAD + "case,fold\na,0\n", "'# folds: ...' is missing"),
        (HEAD + "# folds: 5\ncase,fold\na,5\n", "fold '5' is not one of 0 to 4"),
        (HEAD + "# folds: 2\ncase,fold\na,0\n", "3 or more"),
        (HEAD.replace("no", "maybe") + "case,part\n", "must be yes or no"),
        (HEAD.replace("42", "x") + "case,part\n", "integer"),
        (HEAD + "# store: def\ncase,part\n", "is there 2 times"),
        (HEAD.replace("# store: abc\n", "") + "case,part\n", "'# store: ...' is missing"),
        (HEAD + 'case,part\n"a,train\n', "line 8"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(SplitError, match=message):
        read_split(path)


@given(st.binary(max_size=200))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_a_sentence(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "s.csv"
    for head in (b"", HEAD.encode(), HEAD.encode() + b"case,part\n"):
        path.write_bytes(head + garbage)
        # Any other exception than this one fails the test.
        with contextlib.suppress(SplitError):
            read_split(path)


def test_missing_and_unwritable(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="no such file"):
        read_split(tmp_path / "none.csv")
    with pytest.raises(SplitError, match="cannot be read"):
        read_split(tmp_path)
    split = Split("case", "abc", "case", np.zeros(1, np.int16), ("a",))
    (tmp_path / "folder").mkdir()
    with pytest.raises(SplitError, match="cannot be written"):
        write_split(split, tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_another_store_is_refused(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", classes=["a", "b"], patch_size=(1, 1)) as writer:
        writer.append(np.zeros((3, 1, 1, 3), np.uint8), [{"label": 0, "case": "x"}] * 3)
    store = PatchStore.open(tmp_path / "s")
    split = Split("case", "f" * 32, "case", np.zeros(1, np.int16), ("x",))
    with pytest.raises(SplitError, match=f"ffffffffffff, but .* is {store.digest[:12]}; make"):
        split.parts(store)
    short = Split("patch", store.digest, "patch", np.zeros(2, np.int16))
    with pytest.raises(SplitError, match="2 patches"):
        short.parts(store)


def test_summary(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", classes=["a", "b"], patch_size=(1, 1)) as writer:
        rows = [{"label": n % 2, "case": "xyz"[n % 3]} for n in range(6)]
        writer.append(np.arange(18, dtype=np.uint8).reshape(6, 1, 1, 3), rows)
    store = PatchStore.open(tmp_path / "s")
    split = Split("case", store.digest, "case", np.array([0, 2, -1], np.int16), ("x", "y", "z"))
    parts = {part.part: part for part in summarize(split, store)}
    assert list(parts) == ["train", "val", "test", "out"]
    assert parts["train"].counts == (1, 1)
    assert parts["train"].share(1) == 0.5
    assert np.isnan(parts["val"].share(1))
    assert parts["out"].cases == 1
