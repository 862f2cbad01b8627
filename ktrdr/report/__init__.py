"""The report of a training as one self-contained HTML file, from its JSON (`ktrdr.training.report`).

Imports jinja2 and matplotlib, and only when a page is made; nothing else of ktrdr.
"""

from ktrdr.report.page import render

__all__ = ["render"]
