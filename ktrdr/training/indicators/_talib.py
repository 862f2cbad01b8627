"""The one place that imports TA-Lib.

Its Python package imports pandas when that is installed, which takes a few hundred milliseconds; the grammar needs the
registry without that, so the import waits until an indicator is computed.
"""

from __future__ import annotations

from types import ModuleType


def talib() -> ModuleType:
    import talib as library

    return library
