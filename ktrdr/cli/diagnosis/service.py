"""The service at its address: whether it answers, as which version, and who works for it. Imports the client.

What can be known from outside is said, and what cannot, too: a scheduler that has nothing to do looks like none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ktrdr import __version__
from ktrdr.cli.diagnosis.findings import Finding, fail, ok, warn
from ktrdr.cli.parts import free_port
from ktrdr.settings import Settings

if TYPE_CHECKING:
    import httpx2

_SECONDS = 10.0
#: A `Date` header is cut to whole seconds, and the answer travels.
_CLOCKS_DIFFER_SECONDS = 5.0
#: How much longer than `sign_seconds` an event may wait for its signature before somebody should look.
_SIGNING_TAKES_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answers:
    """A service that answers."""

    url: str
    http: httpx2.Client
    first: httpx2.Response
    #: Between these moments of this machine's clock the first answer was made.
    asked_at: datetime
    answered_at: datetime


def service(url: str, settings: Settings) -> Iterator[Finding]:
    """Everything that can be asked of it."""
    import httpx2

    from ktrdr.client import ClientError
    from ktrdr.client.transport import open_http, token_for

    try:
        http = open_http(url, token_for(url, None), timeout=_SECONDS)
    except (ClientError, httpx2.InvalidURL) as error:
        yield fail("api", str(error), "say where the service is, with --url or KTRDR_URL")
        return
    with http:
        try:
            asked_at = datetime.now(UTC)
            first = http.get("/healthz")
            answered_at = datetime.now(UTC)
            document = first.json()
            served = document["version"]
        except httpx2.TransportError as error:
            yield warn("api", f"nothing answers at {url}: {error}", "start it with: ktrdr up (or say where it is, with "
                       "--url or KTRDR_URL)")  # fmt: skip
            yield from _port(url, settings)
            return
        except (ValueError, LookupError, TypeError):
            if first.is_server_error:
                yield fail("api", f"{url} answered {first.status_code}", "see the log of: ktrdr serve")
                return
            yield fail("api", f"what answers at {url} is no ktrdr service", "choose another port with KTRDR_PORT")
            return
        if served == __version__:
            yield ok("api", f"{url} answers as version {served}")
        else:
            found = f"{url} is version {served}, this is {__version__}"
            yield warn("api", found, "install the same version here and there")
        there = Answers(url, http, first, asked_at, answered_at)
        for question in (_clocks, _readiness, _token):
            findings = list(question(there))
            yield from findings
        if http.get("/api/v1/workers").is_success:
            yield from _workers(there)
            yield from _scheduler(there, settings)


def _port(url: str, settings: Settings) -> Iterator[Finding]:
    """Whether the API could listen, if it is meant to be here."""
    if (urlsplit(url).port, urlsplit(url).hostname) != (settings.port, settings.host):
        return
    try:
        free_port(settings.host, settings.port)
    except OSError as error:
        yield fail("port", f"port {settings.port} of {settings.host} cannot be used: {error.strerror}",
                   "stop what listens there, or choose another with KTRDR_PORT")  # fmt: skip
    else:
        yield ok("port", f"port {settings.port} of {settings.host} is free")


def _clocks(there: Answers) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(there.first.headers.get("date", ""))
    except ValueError:
        return
    nearest = min(max(theirs, there.asked_at), there.answered_at)
    ahead = (theirs - nearest).total_seconds()
    if abs(ahead) > _CLOCKS_DIFFER_SECONDS:
        than = "ahead of" if ahead > 0 else "behind"
        yield warn("clocks", f"the service's clock is {abs(ahead):,.0f} s {than} this one",
                   "set the clocks; leases do not depend on them, but times of events do")  # fmt: skip
    else:
        yield ok("clocks", "the service's and this one agree")


def _readiness(there: Answers) -> Iterator[Finding]:
    document = there.http.get("/readyz").json()
    bad = [f"{name}: {said}" for name, said in document.get("checks", {}).items() if said != "ok"]
    if document["status"] == "ok":
        yield ok("readiness", "jobs are accepted")
    else:
        yield fail("readiness", "; ".join(bad) or "it says that it is not", "see the log of: ktrdr serve")


def _token(there: Answers) -> Iterator[Finding]:
    answer = there.http.get("/api/v1/workers")
    if answer.status_code in (401, 403):
        problem = _object(answer)
        yield fail("token", str(problem.get("detail") or problem.get("title") or answer.reason_phrase),
                   str(problem.get("fix") or "give the right one in KTRDR_TOKEN"))  # fmt: skip
    elif "authorization" in there.http.headers:
        yield ok("token", "accepted")
    else:
        yield ok("token", "none is needed")


def _workers(there: Answers) -> Iterator[Finding]:
    found = there.http.get("/api/v1/workers").json()["workers"]
    alive = [one for one in found if one["state"] in ("alive", "starting")]
    lost = [one["name"] for one in found if one["state"] == "lost"]
    others = [f"{one['name']} is {one['version']}" for one in alive if one["version"] != there.first.json()["version"]]
    if not alive:
        fix = "start one with: ktrdr worker (or ktrdr host-worker)"
        yield warn("workers", "none is alive, so nothing is trained", fix)
    else:
        yield ok("workers", f"{len(alive)} alive: {', '.join(_worker(one) for one in alive)}")
    if lost:
        yield warn("lost workers", f"not heard of any more: {', '.join(lost)}",
                   "their jobs go on elsewhere; see why with the workers' logs")  # fmt: skip
    if others:
        yield warn("worker versions", "; ".join(others), "install the same version everywhere")


def _worker(one: dict[str, Any]) -> str:
    return f"{one['name']} ({one['kind']}, {one['device'] or 'no device yet'})"


def _scheduler(there: Answers, settings: Settings) -> Iterator[Finding]:
    """By what it leaves undone: it signs the log within `sign_seconds` of an event."""
    newest = there.http.get("/api/v1/audit/checkpoints", params={"limit": 1})
    if not newest.is_success:
        yield warn("scheduler", f"cannot be told: {_object(newest).get('detail')}", "see: ktrdr audit verify")
        return
    signed = newest.json()["checkpoints"]
    size = signed[0]["size"] if signed else 0
    events = there.http.get("/api/v1/events", params={"after": size, "limit": 1}).json()["events"]
    if not events:
        yield ok("scheduler", "every event is signed" if size else "there was nothing to do for it yet")
        return
    now = parsedate_to_datetime(there.first.headers["date"]) if "date" in there.first.headers else datetime.now(UTC)
    waited = (now - datetime.fromisoformat(events[0]["recorded_at"])).total_seconds()
    if waited > settings.sign_seconds + _SIGNING_TAKES_SECONDS:
        yield fail("scheduler", f"has signed nothing for {waited:,.0f} s although the log has grown: it is not running",
                   "start it with: ktrdr scheduler (ktrdr up starts it too)")  # fmt: skip
    else:
        yield ok("scheduler", f"events wait for their signature for {max(0, waited):.0f} s, as they should")


def _object(answer: httpx2.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
