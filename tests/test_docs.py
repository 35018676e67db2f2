"""What the documents say is so: commands, options, paths, links and generated pages."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from eosin.cli.main import COMMANDS, STAGES
from eosin.config import Recipe, recipe_names

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = sorted([README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
sys.path.insert(0, str(DOCS))
import house  # noqa: E402
import reference_pages as reference  # noqa: E402

DISCLAIMER = "Research and education only, not for diagnosis"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Commands


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    return reference.commands()


def parse(line: str, commands: dict[str, Any]) -> None:
    """Parse a command line as the program would, without running it; raises where it would fail."""
    words = shlex.split(line, comments=True)
    if words[0] == "torchrun":
        words = words[words.index("-m") + 1 :]
    assert words[0] == "eosin", line
    if words[1:] in (["--help"], ["--version"], ["-h"]):
        return
    assert words[1] in commands, f"no command {words[1]!r}: {line}"
    if words[2:] == ["--help"]:
        return
    try:
        commands[words[1]].make_context(words[1], words[2:])
    except Exception as error:
        pytest.fail(f"{line}: {getattr(error, 'message', error)}")


@pytest.mark.parametrize("page", reference.PAGES)
def test_generated_pages_are_current(page: str) -> None:
    written = (ROOT / page).read_text("utf-8")
    assert written == reference.PAGES[page](written), "write the pages again with: make docs"


def test_check_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in reference.PAGES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    path = tmp_path / "docs" / "reference" / "recipes.md"
    path.unlink()
    assert reference.main(["--check"], tmp_path) == 1
    assert not path.exists()
    assert reference.main([], tmp_path) == 0
    assert reference.main(["--check"], tmp_path) == 0
    path.write_text(path.read_text("utf-8") + "edited", "utf-8")
    capsys.readouterr()
    assert reference.main(["--check"], tmp_path) == 1
    error = capsys.readouterr().err
    assert error == "docs/reference/recipes.md is out of date; write it again with: make docs\n"
    assert reference.main(["--chek"], tmp_path) == 2


def test_the_reference_lists_the_commands_by_stage() -> None:
    text = (DOCS / "reference" / "cli.md").read_text("utf-8")
    rows = re.findall(r"^\| ([A-Z][\w ]+) \| \[(\w+)\]\(#eosin-\w+\) \| (.+) \|$", text, re.M)
    assert rows == [(s, name, line) for s, each in STAGES.items() for name, line in each.items()]
    assert re.findall(r"^## eosin (\w+)$", text, re.M) == list(COMMANDS)


def test_the_reference_is_the_same_at_every_width() -> None:
    code = "from reference_pages import cli_page; import sys; sys.stdout.write(cli_page())"
    for columns in ("20", "400"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, check=True, encoding="utf-8",
            env={**os.environ, "COLUMNS": columns, "FORCE_COLOR": "1", "PYTHONUTF8": "1"},
            cwd=DOCS,
        )  # fmt: skip
        assert done.stdout == reference.cli_page()
        assert "\x1b" not in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_an_example(name: str, commands: dict[str, Any]) -> None:
    command = commands[name]
    text = reference.take_apart(command.help)
    assert text.paragraphs, f"eosin {name} says nothing"
    assert text.examples, f"the help of eosin {name} has no paragraph 'Example: eosin {name} ...'"
    for example in text.examples:
        assert example.startswith(f"eosin {name}"), example
        parse(example, commands)
    assert f"\n## eosin {name}\n" in (DOCS / "reference" / "cli.md").read_text("utf-8")
    for param in command.params:
        assert param.help, f"eosin {name}: {param.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json(name: str, commands: dict[str, Any]) -> None:
    assert any("--json" in param.opts for param in commands[name].params)


def test_every_recipe_and_key_is_documented() -> None:
    text = (DOCS / "reference" / "recipes.md").read_text("utf-8")
    for name in recipe_names():
        assert f"\n## {name}\n" in text
    for key, field in Recipe.model_fields.items():
        assert f"\n| `{key}` |" in text
        assert field.description, f"Recipe.{key} has no description"


# Blocks


class Block(NamedTuple):
    page: str
    line: int
    text: str
    #: Why the block is not run, or "".
    reason: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    """Every fenced block of shell commands, with the reason in the comment above it."""
    found = []
    fence = re.compile(
        r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?```bash\n(?P<text>.*?)^```$", re.M | re.S
    )
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in fence.finditer(text):
            line = text.count("\n", 0, match.start("text"))
            found.append(Block(name_of(page), line, match["text"], match["reason"] or ""))
    return found


def lines_of(block: Block) -> list[str]:
    return [line.strip() for line in block.text.splitlines() if line.strip()]


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_commands_in_documents_exist(block: Block, commands: dict[str, Any]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for line in lines_of(block):
        if line.startswith("make "):
            named = [word for word in line.split()[1:] if "=" not in word]
            assert set(named) <= targets, line
        else:
            parse(line, commands)


@pytest.mark.slow
def test_commands_in_documents_run(tmp_path: Path) -> None:
    """Every block without a reason not to is run, on made-up cases under the archive's name.

    Only the length of what they do is cut, by the options of ``shorter``.
    """
    from eosin.synthetic.archive import write_archive

    write_archive(tmp_path / "breast-histopathology-images.zip", cases=5, broken=0)
    shorter = {"train": ["--set", "epochs=1"], "evaluate": ["--replicates", "50"]}
    ran = 0
    for block in blocks():
        if block.reason or block.page == "docs/reference/cli.md":
            continue
        for line in lines_of(block):
            words = shlex.split(line, comments=True)
            assert words[0] == "eosin", f"{block}: {line}: give the reason why it is not run"
            done = subprocess.run(
                [sys.executable, "-m", "eosin", *words[1:], *shorter.get(words[1], ())],
                cwd=tmp_path, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL,
            )  # fmt: skip
            assert done.returncode == 0, f"{block}: {line}\n{done.stdout}\n{done.stderr}"
            ran += 1
    assert ran >= 5


# README


def tree() -> dict[str, str]:
    """Path -> what it is, from the file tree of the README."""
    _, start, rest = README.read_text("utf-8").partition("\n```\nsrc/eosin/\n")
    assert start, "the README has no file tree"
    block = "src/eosin/\n" + rest.partition("```")[0]
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in block.splitlines():
        if not line.strip():
            continue
        name, _, about = line.strip().partition(" ")
        indent = len(line) - len(line.lstrip())
        above = [(depth, folder) for depth, folder in above if depth < indent]
        path = "".join(folder for _, folder in above) + name
        assert path not in found, f"{path} stands twice"
        found[path] = about.strip()
        if name.endswith("/"):
            above.append((indent, name))
    return found


def test_every_path_of_the_tree_exists_and_says_what_it_is() -> None:
    for path, about in tree().items():
        found = ROOT / path
        assert found.is_dir() if path.endswith("/") else found.is_file(), path
        assert about or path == "src/eosin/", f"{path} does not say what it is"


def test_every_room_is_in_the_tree_and_every_file_on_its_page() -> None:
    rooms, package = tree(), ROOT / "src" / "eosin"
    page = (DOCS / "reference" / "files.md").read_text("utf-8")
    parts = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    for path in sorted(package.glob("*.py")):
        if not path.name.startswith("__"):
            assert name_of(path) in rooms
            assert f"\n| `{path.name}` | " in parts["Beside the rooms"]
    for folder in package.iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert name_of(folder) + "/" in rooms
        for path in folder.glob("[a-z]*.py"):
            about = house.docstring(path).partition("\n\n")[0].replace("\n", " ")
            assert f"\n| `{path.name}` | {about} |\n" in parts[folder.name], name_of(path)


def test_the_readme_names_the_two_commands_and_help() -> None:
    text = README.read_text("utf-8")
    for words in ("\nmake demo\n", "\nmake test\n", "eosin doctor"):
        assert words in text


# Pages


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name_of(page)}: {target}"
        assert found.is_relative_to(ROOT), f"{name_of(page)}: {target} leads out of the project"
        if anchor:
            assert anchor in anchors(found), f"{name_of(page)}: no heading for {target}"


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page get."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize(
    "page",
    [README, *(page for page in DOCS.rglob("*.md") if page.parent.name != "decisions")],
    ids=name_of,
)
def test_pages_carry_the_disclaimer(page: Path) -> None:
    assert DISCLAIMER in page.read_text("utf-8")


def test_every_page_is_reached_from_the_index() -> None:
    linked = set()
    for target in re.findall(r"\]\(([^)#\s]+)\)", (DOCS / "index.md").read_text("utf-8")):
        linked.add((DOCS / target).resolve())
    for page in DOCS.rglob("*.md"):
        known = page.resolve() in linked or page.parent.resolve() in linked
        assert known or page.name == "index.md", f"{name_of(page)} is not in docs/index.md"


def test_decisions_are_numbered_and_short() -> None:
    found = sorted((DOCS / "decisions").glob("*.md"))
    assert [path.name[:4] for path in found] == [f"{k:04}" for k in range(1, len(found) + 1)]
    for path in found:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {path.name[:4]} "), path.name
        assert len(text.splitlines()) <= 40, f"{path.name} is more than half a page"


def test_formats_name_every_column_and_file() -> None:
    from eosin.data.store import INDEX_SCHEMA
    from eosin.evaluation.definitions import BINARY, MULTICLASS

    text = (DOCS / "reference" / "formats.md").read_text("utf-8")
    for name in (*INDEX_SCHEMA, *BINARY, *MULTICLASS):
        assert f"`{name}`" in text, name


def test_every_command_is_in_a_how_to_page_or_the_readme() -> None:
    pages = [README, *(DOCS / "how-to").glob("*.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    for name in COMMANDS:
        assert f"eosin {name}" in text or name in ("demo", "recipes"), name
