"""The Python examples of the user guide run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[1] / "docs" / "user"


@pytest.mark.parametrize("page", ["unstructured.md", "parametric.md"])
def test_examples_of_a_page_run_one_after_the_other(page):
    blocks = re.findall(r"```python\n(.*?)```", (GUIDE / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}

    for block in blocks:
        exec(compile(block, page, "exec"), names)

    assert len(blocks) >= 1
