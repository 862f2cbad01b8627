"""What users of the client see: its names, its help, its types, and what it costs to import."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ktrdr
import ktrdr.client
from ktrdr.client import AsyncClient, AsyncJob, Client, Job, MissingLibraryError

HEAVY = ("pandas", "numpy", "torch", "rich", "click", "sqlalchemy", "pydantic", "starlette", "anyio")
USE = """
from ktrdr.client import connect, connect_async
async def use() -> None:
    client = connect()
    reveal_type(client.train("x").follow())
    reveal_type(client.retry)
    client.train("x", symbol="AAPL")
    client.job(3)
    async with connect_async() as later:
        reveal_type(await later.train("x"))
        reveal_type((await later.train("x")).follow())
"""


def test_every_public_name_is_there_in_order() -> None:
    assert ktrdr.client.__all__ == sorted(ktrdr.client.__all__)
    assert all(hasattr(ktrdr.client, name) for name in ktrdr.client.__all__)
    assert (ktrdr.connect, ktrdr.connect_async) == (ktrdr.client.connect, ktrdr.client.connect_async)
    with pytest.raises(AttributeError, match="no attribute 'disconnect'"):
        _ = ktrdr.disconnect


@pytest.mark.parametrize(("blocking", "awaited"), [(Client, AsyncClient), (Job, AsyncJob)])
def test_both_colours_have_the_same_methods_and_every_one_explains_itself(blocking: type, awaited: type) -> None:
    names = [name for name in dir(blocking) if not name.startswith("_")]
    assert names == [name for name in dir(awaited) if not name.startswith("_")]
    for name in names:
        found = getattr(blocking, name)
        assert inspect.getdoc(found), name
        if callable(found):
            assert "Call[" not in str(inspect.signature(found))


def test_help_tells_what_is_given() -> None:
    assert str(inspect.signature(Client.jobs)).endswith("limit: 'int | None' = None) -> 'Iterator[JobView]'")
    assert str(inspect.signature(Client.events)).endswith("-> 'Iterator[EventView]'")
    assert str(inspect.signature(Job.cancel)) == "(self, *, reason: 'str' = '') -> 'JobView'"


def test_importing_the_client_imports_nothing_heavy() -> None:
    script = "import ktrdr, json, sys; ktrdr.connect; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not {module.partition(".")[0] for module in json.loads(ran.stdout)} & set(HEAVY)
    script = "import ktrdr, sys; print('httpx2' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert ran.stdout == b"False\n"


def test_without_pandas_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with Client("http://127.0.0.1:9") as client, pytest.raises(MissingLibraryError) as missing:
        client.jobs_frame()
    assert str(missing.value) == "the list of jobs as a frame needs pandas, which is not installed"
    assert missing.value.fix == "pip install pandas"


def test_type_checkers_see_parameters_and_results(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(USE)
    # Of what the client's own types do not mention, nothing is read: it would take most of the time.
    skipped = "".join(f"[mypy-{name}.*]\nfollow_imports = skip\n" for name in ("pandas", "sqlalchemy", "starlette"))
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = True\nfollow_imports = silent\n{skipped}")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "use.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    told = [line.partition(": ")[2] for line in ran.stdout.splitlines()]
    assert told[0] == 'note: Revealed type is "typing.Iterator[ktrdr.client.typed_events.Happened]"'
    assert told[1].startswith('note: Revealed type is "def (job_id: str, *, from_checkpoint: bool =, ')
    assert told[2] == 'error: Unexpected keyword argument "symbol"; did you mean "symbols"?  [call-arg]'
    assert told[3] == 'error: Argument 1 has incompatible type "int"; expected "str"  [arg-type]'
    assert told[4] == 'note: Revealed type is "ktrdr.client.job.AsyncJob"'
    assert told[5] == 'note: Revealed type is "typing.AsyncIterator[ktrdr.client.typed_events.Happened]"'
