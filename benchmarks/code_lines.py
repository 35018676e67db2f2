"""Code lines by room in two commits: without blank lines, comments and docstrings.

    python benchmarks/code_lines.py v0.1.0 HEAD

A line counts where a part of a statement stands on it, so that neither comments nor a long
docstring make a room look large, nor a compressed one small. `.` as a commit means the files as
they are now.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "src/eosin"
_NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(text: str) -> int:
    """How many lines of a Python file contain code.

    >>> code_lines("'What it is.'\\n\\n# why\\ndef f(x):\\n    'Twice.'\\n    return 2 * x\\n")
    2
    """
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            string = node.body[0]
            lines -= set(range(string.lineno, (string.end_lineno or string.lineno) + 1))
    return len(lines)


def room_of(path: str) -> str:
    """``data`` for src/eosin/data/store.py; "beside" for a file beside the rooms.

    >>> room_of("src/eosin/data/store.py"), room_of("src/eosin/errors.py")
    ('data', 'beside')
    """
    parts = path.removeprefix(f"{PACKAGE}/").split("/")
    return parts[0] if len(parts) > 1 else "beside"


def count(commit: str) -> Counter[str]:
    """Room -> code lines in a commit; raises SystemExit where git does not have it."""
    if commit == ".":
        files = sorted((ROOT / PACKAGE).rglob("*.py"))
        texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in files}
    else:
        names = _git("ls-tree", "-r", "--name-only", commit, PACKAGE).splitlines()
        texts = {n: _git("show", f"{commit}:{n}") for n in names if n.endswith(".py")}
    rooms: Counter[str] = Counter()
    for path, text in texts.items():
        rooms[room_of(path)] += code_lines(text)
    return rooms


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", help="a commit, or . for the files as they are")
    parser.add_argument("new", help="a commit, or . for the files as they are")
    words = parser.parse_args()
    old, new = count(words.old), count(words.new)
    print(f"{'room':12} {'old':>7} {'new':>7} {'change':>7}")
    for room in [*sorted(old | new), "all"]:
        before, after = (c.total() if room == "all" else c[room] for c in (old, new))
        print(f"{room:12} {before:7,} {after:7,} {after - before:+7,}")


if __name__ == "__main__":
    main()
