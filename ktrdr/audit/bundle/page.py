"""The page of a bundle: the story of the job, and the same checks as `verify.py`, in one HTML file that works offline.

Imports the standard library. The page is made in the browser from the events that it verifies, so what it tells is what
was checked; here it is only put together. Texts of users come into it as data, never as markup.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

_FOLDER = Path(__file__).parent
#: What the page embeds of a bundle; what is not there is null.
_EMBEDDED = ("events.jsonl", "checkpoint.txt", "proof.json", "keys.txt", "model/SHA256SUMS")


def render(files: Mapping[str, bytes]) -> bytes:
    """The page of a bundle with these files (name → content)."""
    style = _part("page.css")
    script = "".join(_part(f"{name}.js") for name in ("checks", "story", "pictures", "verdict"))
    policy = (
        f"default-src 'none'; script-src '{_source(script)}'; style-src '{_source(style)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    embedded = {name: files[name].decode() if name in files else None for name in _EMBEDDED}
    # Only a "<" could end the element that holds the data.
    data = json.dumps(embedded, ensure_ascii=False).replace("<", "\\u003c")
    page = _part("page.html")
    for name, text in (("policy", policy), ("style", style), ("script", script), ("data", data)):
        before, after = page.split(f"{{{{ {name} }}}}")
        page = before + text + after
    return page.encode()


def _part(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _source(text: str) -> str:
    """What lets a browser run or apply this very text and no other (CSP's hash-source)."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
