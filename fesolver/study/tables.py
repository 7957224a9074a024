"""Results as tables: one row per case, state and level; units in the column names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_csv"]


def to_csv(rows: Iterable[dict[str, Any]]) -> str:
    """CSV text with the columns in order of first use; floats in their shortest exact form."""
    import pandas as pd

    frame: pd.DataFrame = pd.DataFrame(list(rows))
    return str(frame.to_csv(index=False, lineterminator="\n"))
