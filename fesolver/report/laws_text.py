"""The bone laws as a terminal shows them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

__all__ = ["laws_text"]

_TITLES = {
    "formula": "modulus",
    "strength": "strength",
    "kind": "density kind",
    "range_g_cm3": "range (g/cm³)",
    "young_mpa_at_80_mg_cm3": "at 80 mg/cm³ rho_qct (MPa)",
    "source": "source",
    "standing": "standing",
}


def laws_text(laws: Sequence[Mapping[str, object]], *, width: int = 100) -> str:
    """One block per law, wrapped to `width` columns: a table of this width would fit no terminal.

    Examples
    --------
    >>> print(laws_text([{"name": "power", "formula": "E = 2980 rho^1.05", "kind": "rho_qct"}]))
    power
      modulus                     E = 2980 rho^1.05
      density kind                rho_qct
    """
    return "\n\n".join(_block(law, width) for law in laws)


def _block(law: Mapping[str, object], width: int) -> str:
    """One law: its name, then a line per property."""
    keys = [*(key for key in _TITLES if key in law), *(key for key in law if key not in _TITLES and key != "name")]
    column = max(map(len, _TITLES.values())) + 2
    lines = [str(law.get("name", ""))]
    for key in keys:
        first = f"  {_TITLES.get(key, key.replace('_', ' ')):<{column}}"
        lines.append(
            textwrap.fill(str(law[key]), width, initial_indent=first, subsequent_indent=" " * len(first))
            if law[key] not in (None, "")
            else first.rstrip()
        )
    return "\n".join(lines)
