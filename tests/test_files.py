"""Nothing half-written, nothing lost."""

from pathlib import Path

import pytest

from eosin.files import whole


def interrupted(path: Path) -> None:
    with whole(path) as temporary:
        temporary.write_text("second")
        raise KeyboardInterrupt


def test_what_stood_there_stays_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with whole(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_text() == "first"
    with whole(path, durable=True) as temporary:
        temporary.write_text("third")
    assert path.read_text() == "third"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_it_is_as_readable_as_its_neighbors(tmp_path: Path) -> None:
    (tmp_path / "neighbor").write_text("")
    with whole(tmp_path / "a") as temporary:
        temporary.write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "neighbor").stat().st_mode


def test_a_folder_in_its_place_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="a"), whole(tmp_path / "a"):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_overwritten_and_errors_name_the_target(
    tmp_path: Path,
) -> None:
    with whole(tmp_path / "a") as temporary:
        temporary.write_text("left by a killed process")
        left = temporary
    left.write_text("left by a killed process")
    with whole(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "new"
    with pytest.raises(OSError, match="directory") as caught, whole(tmp_path / "b") as temporary:
        (temporary / "no" / "folder").write_text("")
    assert "partial" in str(caught.value)
    with pytest.raises(FileNotFoundError) as caught, whole(tmp_path / "b"):
        pass
    assert caught.value.filename == str(tmp_path / "b")
