"""Lessons in Jupyter: the .ipynb, and what is shown there in place of marimo's moving parts."""

from __future__ import annotations

import sys
from typing import Any


def in_jupyter() -> bool:
    """Whether this runs inside IPython or Jupyter."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return get_ipython() is not None


def register() -> None:
    """Show marimo's texts and inputs as Markdown in this Jupyter session."""
    from IPython import get_ipython
    from marimo import Html

    from eosin.guide.plain import markdown_of

    def bundle(shown: Any) -> dict[str, str]:
        return {"text/markdown": markdown_of(shown)}

    Html._repr_mimebundle_ = lambda self, **kw: bundle(self)  # type: ignore[attr-defined]
    formatter = get_ipython().display_formatter  # type: ignore[no-untyped-call]
    formatter.formatters["text/html"].for_type(Html, lambda shown: None)
