"""How often someone may ask: so many requests at once, then one each time that one has been earned again.

Imports the standard library only. One number is kept for each who asks (GCRA, the virtual scheduling algorithm of
ITU-T I.371): the steady-clock moment at which everything would be earned back.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import NamedTuple

_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_FORM = re.compile(r"([1-9]\d{0,8})/(second|minute|hour)")
#: So many are remembered before those are forgotten that have earned everything back.
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    amount: int
    seconds: float

    def times(self, factor: int) -> Rate:
        return Rate(self.amount * factor, self.seconds)


def read_rate(text: str) -> Rate | None:
    """`600/minute`; None for `off`. Raises ValueError."""
    if text == "off":
        return None
    matched = _FORM.fullmatch(text)
    if matched is None:
        raise ValueError(text)
    return Rate(int(matched[1]), _PERIODS[matched[2]])


class Taken(NamedTuple):
    #: Seconds until the next request may come; 0 if this one may.
    wait: float
    #: Requests that may come at once after this one.
    left: int
    #: Seconds until all of them may.
    reset: float

    def __str__(self) -> str:
        return f'"caller";r={self.left};t={ceil(self.reset)}'


class RateLimit:
    """One rate for each key."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._interval = rate.seconds / rate.amount
        #: How draft-ietf-httpapi-ratelimit-headers writes it.
        self.policy = f'"caller";q={rate.amount};w={ceil(rate.seconds)}'
        self._full_at: dict[str, float] = {}

    def take(self, key: str, now: float | None = None) -> Taken:
        """Counts one request of `key`, unless it must wait."""
        now = time.monotonic() if now is None else now
        full_at = max(self._full_at.get(key, now), now)
        debt = full_at + self._interval - now
        # A hair's breadth of tolerance: the sum of many intervals is not quite the period.
        if debt > self.rate.seconds + self._interval * 1e-6:
            return Taken(debt - self.rate.seconds, 0, full_at - now)
        if len(self._full_at) >= MOST_REMEMBERED and key not in self._full_at:
            self._forget(now)
        self._full_at[key] = now + debt
        return Taken(0.0, int((self.rate.seconds - debt) / self._interval + 1e-6), debt)

    def _forget(self, now: float) -> None:
        kept = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        if len(kept) >= MOST_REMEMBERED:  # all of them at once: the half that is furthest from its limit
            kept = dict(sorted(kept.items(), key=lambda entry: entry[1])[MOST_REMEMBERED // 2 :])
        self._full_at = kept


def address_key(address: str) -> str:
    """Whom an address belongs to: of IPv6, everyone has at least a /64 to themselves."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return address
