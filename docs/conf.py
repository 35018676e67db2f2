"""Settings of the site. `make docs` builds it; docs/build.py brings its pages together first.

Nothing here asks the network: no web fonts, no scripts from elsewhere, formulas as MathML, which
browsers draw themselves.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from docutils import nodes
from formulas import FormulaError, mathml
from prose import as_restructured_text
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.inspect import stringify_signature

import eosin
from eosin import __version__

logger = logging.getLogger(__name__)

project = "eosin"
author = "eosin"
copyright = ""
release = version = __version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]
root_doc = "index"
highlight_language = "none"
pygments_style = "friendly"
pygments_dark_style = "native"

myst_enable_extensions = ["attrs_block", "attrs_inline", "deflist", "dollarmath", "amsmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
myst_dmath_allow_labels = False

default_role = "code"
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    # A name is documented where it is made, not where it is passed on.
    "ignore-module-all": True,
}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False
python_maximum_signature_line_length = 72
python_use_unqualified_type_names = True
python_display_short_literal_types = True

nitpicky = True
# Names of types, most of them of other packages whose documentation lies on the network.
nitpick_ignore_regex = [("py:.*", ".*")]
# Several rooms have a type of the same name; a signature leads to one of them.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "eosin"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
# Excerpts are read from the pages by a request, which a browser refuses where pages are files.
html_show_search_summary = False
html_favicon = "_static/favicon.svg"
html_logo = None
html_last_updated_fmt = None
html_theme_options = {
    "announcement": "Research and education only, not for diagnosis",
    "light_css_variables": {
        "color-brand-primary": "#b0285f",
        "color-brand-content": "#a3245a",
        "color-brand-visited": "#7d3b6b",
        "color-sidebar-link-text": "#3f4653",
        "color-sidebar-link-text--top-level": "#1d2430",
        "color-announcement-background": "#fbecf2",
        "color-announcement-text": "#8c1d4b",
        "font-stack": 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", '
        '"Noto Sans", Arial, sans-serif',
        "font-stack--headings": 'ui-serif, "Iowan Old Style", "Palatino Linotype", Palatino, '
        '"Book Antiqua", "Noto Serif", Georgia, serif',
        "font-stack--monospace": 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, '
        '"DejaVu Sans Mono", monospace',
    },
    "dark_css_variables": {
        "color-brand-primary": "#f48fb5",
        "color-brand-content": "#f48fb5",
        "color-brand-visited": "#cb9bdb",
        "color-sidebar-link-text": "#b3b6bf",
        "color-sidebar-link-text--top-level": "#e9e7ea",
        "color-announcement-background": "#2b1c24",
        "color-announcement-text": "#f48fb5",
    },
}

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True


# Formulas: MathML, written while the site is built.


def drawn(tex: str, *, block: bool, node: nodes.Element) -> str:
    """A formula as a <math> element; a formula that cannot be read is a warning."""
    try:
        return mathml(tex, block=block)
    except FormulaError as error:
        logger.warning("formula %s", error, location=node)
        return f"<code>{tex}</code>"


def visit_math(self: Any, node: nodes.Element) -> None:
    self.body.append(drawn(node.astext(), block=False, node=node))
    raise nodes.SkipNode


def visit_math_block(self: Any, node: nodes.Element) -> None:
    self.body.append(f'<div class="math">{drawn(node.astext(), block=True, node=node)}</div>\n')
    raise nodes.SkipNode


# Docstrings are plain prose; autodoc wants reStructuredText.


def process_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    lines[:] = as_restructured_text(lines, obj)


html_math_renderer = "mathml"


def process_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: object, given: str, returned: str
) -> tuple[str, str] | None:
    """The signature as it is written: names of types are not taken apart."""
    if what not in ("function", "method", "class") or given is None:
        return None
    try:
        signature = inspect.signature(obj)
    except (TypeError, ValueError):
        return None
    parameters = list(signature.parameters.values())
    if what == "method" and parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    if what == "class":
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    signature = signature.replace(parameters=parameters)
    text = stringify_signature(signature, unqualified_typehints=True).replace("npt.", "")
    before, arrow, after = text.rpartition(") -> ")
    return (f"{before})", after) if arrow else (text, "")


def import_everything() -> None:
    """Import every module before autodoc looks at the first one.

    For a pydantic model, autodoc (Sphinx 9.0) adds annotations that it read in the source to
    BaseModel itself; pydantic (2.14) then refuses each model class that is made later.
    """
    for module in pkgutil.walk_packages(eosin.__path__, "eosin."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def small_sidebar(
    app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any
) -> None:
    """Open only the branch of the page in the sidebar: all modules on each page take minutes."""
    if whole := context.get("toctree"):
        context["toctree"] = lambda **named: whole(**named | {"collapse": True})


def setup(app: Sphinx) -> dict[str, bool]:
    import_everything()
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("autodoc-process-docstring", process_docstring)
    app.connect("autodoc-process-signature", process_signature)
    # Before the theme, which asks for the tree in its own handler.
    app.connect("html-page-context", small_sidebar, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
