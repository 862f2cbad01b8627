"""Whether a request comes from a foreign page, or under a name that is not this service's. Imports the addresses.

A page of another site can make a browser ask us, with the cookie or, where no token is wanted, with all rights. It
cannot choose what the browser says about that: `Origin`, `Sec-Fetch-Site` and `Host`. Other programs send the first
two not at all.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ktrdr.api.access.address import is_loopback

SAFE_METHODS = ("GET", "HEAD")
_OURS = (b"same-origin", b"none")
#: Names beyond this many are looked at each time.
_MOST_REMEMBERED = 200


class Origins:
    """What the service's own pages and names are."""

    def __init__(self, *, host: str, url: str) -> None:
        parts = urlsplit(url)
        self._names = frozenset(name.lower() for name in (host, parts.hostname) if name)
        #: Pages under the address that the operator names are ours, whatever a proxy makes of `Host`.
        self._origin = f"{parts.scheme}://{parts.netloc}".lower().encode()
        self._known_hosts: set[bytes] = set()

    def is_our_host(self, host: bytes) -> bool:
        """Whether a `Host` header names this machine itself, or the service as its operator does.

        Any other name may be one that its owner lets point here (DNS rebinding), whose pages are then of our origin.
        """
        if host in self._known_hosts:
            return True
        name = _without_port(host.decode("latin-1")).lower()
        if not (is_loopback(name) or name in self._names):
            return False
        if len(self._known_hosts) < _MOST_REMEMBERED:
            self._known_hosts.add(host)
        return True

    def is_foreign(self, method: str, *, host: bytes, origin: bytes, site: bytes, mode: bytes) -> bool:
        """Whether a page of another origin caused the request; a link that leads here is none."""
        if origin and origin != self._origin and origin.partition(b"://")[2].lower() != host.lower():
            return True
        if not site or site in _OURS:
            return False
        return not (method in SAFE_METHODS and mode == b"navigate")


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
