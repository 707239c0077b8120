"""Sphinx builds the documentation: `sphinx-build -W docs site`, in an environment with qcrd[docs]."""

from importlib import metadata

project = "qcrd"
author = "the qcrd authors"
release = version = metadata.version("qcrd")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["site"]
html_theme = "furo"
html_title = "qcrd"

myst_heading_anchors = 3  # as on GitHub, so that links to sections work in both

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Pages of the top folder have a page here that includes them; GitHub shows the links as they are written.
PAGES = {"README.md": "index.md", "SECURITY.md": "security.md", "CONTRIBUTING.md": "contributing.md"}


def _link_pages(text: str) -> str:
    for file, page in PAGES.items():
        for link in (f"](../{file}", f"]({file}"):
            text = text.replace(link, f"]({page}")
    return text


def _read(app, docname, source):
    source[0] = _link_pages(source[0])


def _included(app, path, docname, source):
    source[0] = _link_pages(source[0])


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", _read)
    app.connect("include-read", _included)
