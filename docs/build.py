"""Builds the site from docs/, the lessons and the docstrings: `make docs`.

    python docs/build.py [--output site] [--work build/site] [--lessons N] [--rooms A,B] [--fresh]

1. Pages are brought together in build/site/source: docs/ as it is, one page a lesson (executed;
   kept in build/site/lessons until the lesson changes), one a module, and the tables of contents,
   which are the lists of docs/index.md.
2. Sphinx builds them, with every warning an error. Nothing asks the network.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import api_pages
import lesson_pages

DOCS = Path(__file__).parent
ROOT = DOCS.parent
WORK = ROOT / "build" / "site"
#: Pages that lie outside docs/ -> their name in the site.
_OUTSIDE = {"CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md"}
_KEPT = (".md", ".png", ".webp", ".svg", ".json")


def gather(
    work: Path, *, lessons: int | None = None, rooms: Collection[str] = ()
) -> dict[str, bytes]:
    """Path of a page or picture in the site -> its content."""
    found: dict[str, bytes] = {}
    for path in sorted(DOCS.rglob("*")):
        if path.is_file() and path.suffix in _KEPT and path.parent.name != "_static":
            found[path.relative_to(DOCS).as_posix()] = _linked(path)
    for name, page in _OUTSIDE.items():
        found[page] = _linked(ROOT / name)
    listed, modules = api_pages.pages(rooms)
    found |= {f"reference/python/{name}": text.encode() for name, text in modules.items()}
    _fill(found, "reference/python.md", api_pages.MARK, listed)
    decisions = [name for name in found if name.startswith("decisions/")]
    found["decisions/index.md"] = _decisions(decisions, found).encode()
    guide = lesson_pages.pages(work / "lessons", most=lessons)
    found |= {f"guide/{name}": content for name, content in guide.files.items()}
    _fill(found, "guide/index.md", lesson_pages.MARK, guide.contents())
    found["index.md"] = with_contents(found["index.md"].decode()).encode()
    return found


def _fill(pages: dict[str, bytes], name: str, mark: str, text: str) -> None:
    """Put what was generated in the place that a page has for it."""
    page = pages[name].decode()
    if mark not in page:
        raise SystemExit(f"docs/{name} has no place for what is generated: {mark}")
    pages[name] = page.replace(mark, text).encode()


def _linked(path: Path) -> bytes:
    """A file for the site; a page's links to folders and to pages outside docs/ are made to fit."""
    if path.suffix != ".md":
        return path.read_bytes()
    text = path.read_text("utf-8").replace("decisions/)", "decisions/index.md)")
    if path.parent == ROOT:
        text = text.replace("](docs/", "](").replace("](README.md", "](index.md")
    for name, page in _OUTSIDE.items():
        text = re.sub(rf"\]\((\.\./)?{name}", f"]({page}", text)
    return text.encode()


def _decisions(names: list[str], pages: dict[str, bytes]) -> str:
    titles = [pages[name].decode().partition("\n")[0].lstrip("# ") for name in names]
    files = [name.removeprefix("decisions/") for name in names]
    rows = [f"- [{title}]({file})" for title, file in zip(titles, files, strict=True)]
    head = ["# Decisions", "", "What was decided, why, and what it costs. Half a page each.", ""]
    return "\n".join([*head, *rows, "", "```{toctree}", ":hidden:", "", *files, "```", ""])


def with_contents(text: str) -> str:
    """The index with its lists as the site's table of contents as well.

    >>> print(with_contents("# t\\n\\n## A\\n\\n- [b](c.md): d\\n"))
    # t
    <BLANKLINE>
    ## A
    <BLANKLINE>
    - [b](c.md): d
    <BLANKLINE>
    ```{toctree}
    :hidden:
    :caption: A
    <BLANKLINE>
    b <c>
    ```
    <BLANKLINE>
    """
    trees = []
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        caption, _, rest = part.partition("\n")
        entries = re.findall(r"^- \[([^\]]+)\]\(([^)]+)\.md\)", rest, re.M)
        lines = [f"{title} <{target}>" for title, target in entries]
        if lines:
            trees += ["```{toctree}", ":hidden:", f":caption: {caption}", "", *lines, "```", ""]
    return "\n".join([text.rstrip("\n"), "", *trees])


def bring(files: dict[str, bytes], folder: Path) -> None:
    """Write what has changed, so that Sphinx reads only that again; remove what is gone."""
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()


def build(
    output: Path, work: Path = WORK, *, lessons: int | None = None, rooms: Collection[str] = ()
) -> int:
    """Build the site; returns Sphinx's exit code. ``work`` is where pages are brought together."""
    source = work / "source"
    bring(gather(work, lessons=lessons, rooms=rooms), source)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", str(DOCS), "-n", "-W"]
    command += ["--keep-going", "-q", "-j", "2", "-d", str(work / "doctrees")]
    code = subprocess.run([*command, str(source), str(output)], cwd=ROOT).returncode
    pages = {name.removesuffix(".md") for name in gather_names(source)}
    for path in output.rglob("*.html"):
        name = path.relative_to(output).with_suffix("").as_posix()
        if name not in pages and not name.startswith(("genindex", "search", "py-mod")):
            path.unlink()
    return code


def gather_names(source: Path) -> list[str]:
    return [path.relative_to(source).as_posix() for path in source.rglob("*.md")]


def main(arguments: list[str]) -> int:
    """Build as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the site, without network.")
    parser.add_argument("--output", type=Path, default=ROOT / "site")
    parser.add_argument("--work", type=Path, default=WORK, help="for pages on their way")
    parser.add_argument("--lessons", type=int, metavar="N", help="only the first N lessons")
    parser.add_argument("--rooms", default="", help="only the modules of these, with commas")
    parser.add_argument("--fresh", action="store_true", help="keep nothing of an earlier build")
    chosen = parser.parse_args(arguments)
    if chosen.fresh:
        shutil.rmtree(chosen.work, ignore_errors=True)
        shutil.rmtree(chosen.output, ignore_errors=True)
    begun = time.perf_counter()
    try:
        code = build(
            chosen.output.resolve(), chosen.work.resolve(), lessons=chosen.lessons,
            rooms=tuple(filter(None, chosen.rooms.split(","))),
        )  # fmt: skip
    except lesson_pages.LessonError as error:
        print(error, file=sys.stderr)
        return 1
    if code:
        print("the site was not built; the warnings above say why", file=sys.stderr)
        return code
    seconds = time.perf_counter() - begun
    print(f"{chosen.output / 'index.html'}  ({seconds:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
