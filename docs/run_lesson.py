"""Runs one lesson and writes what it shows as Markdown: `python docs/run_lesson.py LESSON FILE`.

Texts stay Markdown, figures are drawings that follow the page's colors, and what can be moved or
answered is shown as it stands when a lesson opens. Run in a process of its own by lesson_pages.py,
since a lesson may change anything.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from still import still


def shown(output: Any) -> str:
    """What one cell shows, as Markdown or HTML; "" for nothing."""
    from marimo import Html
    from marimo._output.formatting import as_html
    from marimo._output.md import _md
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    if output is None:
        return ""
    if isinstance(output, Axes):
        output = output.figure
    if not isinstance(output, Html | Figure):
        return f"```\n{output}\n```"
    if isinstance(output, _md) and "///" not in output._markdown_text:
        text = output._markdown_text.strip()
        return re.sub(
            r"<marimo-ui-element.*?</marimo-ui-element>",
            lambda found: _on_a_line(still(found[0])),
            text,
            flags=re.DOTALL,
        )
    html = _on_a_line(still(as_html(output).text))
    return f'<div class="shown">{html}</div>' if html.strip() else ""


def _on_a_line(html: str) -> str:
    """HTML without empty lines, which would end a block of it in Markdown."""
    return re.sub(r"\n(?=[ \t]*\n)", "\n&#8203;", html)


def run(lesson: Path) -> str:
    """Run a lesson; returns its page."""
    import matplotlib

    matplotlib.use("Agg")
    from marimo._output.formatters.formatters import register_formatters

    from eosin.guide.notebook import house_look

    register_formatters()
    house_look()
    spec = importlib.util.spec_from_file_location("lesson", lesson)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lesson"] = module
    spec.loader.exec_module(module)
    with contextlib.redirect_stdout(io.StringIO()):
        outputs, _ = module.app.run()
    cells = [cell for cell in module.app._cell_manager.cell_data() if cell.name != "setup"]
    if len(cells) != len(outputs):
        raise SystemExit(f"{lesson}: {len(cells)} cells, but {len(outputs)} outputs")
    blocks = []
    for cell, output in zip(cells, outputs, strict=True):
        if not cell.config.hide_code and cell.code.strip():
            blocks.append(f"```python\n{cell.code.strip()}\n```")
        blocks.append(shown(output))
    return "\n\n".join(block for block in blocks if block) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run the lesson that the command line names; returns the exit code."""
    lesson, page = map(Path, arguments)
    page.write_text(run(lesson), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
