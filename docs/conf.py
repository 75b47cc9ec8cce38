"""Sphinx configuration: `make docs`."""

from importlib import metadata

project = "signal-gateway"
author = "The signal-gateway maintainers"
copyright = "2026, the signal-gateway maintainers"
release = metadata.version("signal-gateway")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "signal-gateway"

autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
