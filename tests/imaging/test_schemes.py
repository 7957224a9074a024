"""Label numbers mean what the tools that write them say."""

from __future__ import annotations

import pytest

from fesolver.anatomy.levels import LEVELS
from fesolver.errors import InputError
from fesolver.imaging.schemes import label_scheme, spine_rank, subregion_scheme


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        # class maps of TotalSegmentator 2 and 1; data description of VerSe
        ("totalsegmentator", {25: "sacrum", 26: "S1", 27: "L5", 31: "L1", 32: "T12", 43: "T1", 44: "C7", 50: "C1"}),
        ("totalsegmentator_v1", {18: "L5", 22: "L1", 23: "T12", 34: "T1", 35: "C7", 41: "C1", 92: "sacrum"}),
        ("verse", {1: "C1", 7: "C7", 8: "T1", 19: "T12", 20: "L1", 24: "L5", 25: "L6", 26: "sacrum", 28: "T13"}),
    ],
)
def test_named_schemes_hold_the_published_numbers(scheme, expected):
    table = label_scheme(scheme)
    assert {number: table[number] for number in expected} == expected


@pytest.mark.parametrize("scheme", ["totalsegmentator", "totalsegmentator_v1", "verse"])
def test_named_schemes_name_every_presacral_level_once(scheme):
    names = list(label_scheme(scheme).values())
    assert len(names) == len(set(names))
    assert set(LEVELS[:-1]) <= set(names)


def test_the_returned_table_is_the_callers_own():
    label_scheme("verse")[20] = "L2"
    assert label_scheme("verse")[20] == "L1"


def test_transitional_levels_stand_between_their_neighbours():
    assert [spine_rank(name) for name in ("T12", "T13", "L1")] == sorted(spine_rank(n) for n in ("L1", "T12", "T13"))
    assert spine_rank("L5") < spine_rank("L6") < spine_rank("S1") < spine_rank("sacrum")


def test_keys_of_a_table_may_be_text_as_in_toml():
    assert label_scheme({"7": "L1", 8: "L2"}) == {7: "L1", 8: "L2"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("nnunet", "label scheme 'nnunet' is unknown"),
        ({}, "is empty"),
        ({"L1": "L1"}, "'L1' in the label table is not a label number"),
        ({1.5: "L1"}, "1.5 in the label table is not a label number"),
        ({True: "L1"}, "True in the label table is not a label number"),
        ({0: "L1"}, "label 0 in the label table is not positive"),
        ({1: "L7"}, "label 1 in the label table is named 'L7'"),
        ({1: "L1", 2: "L1"}, "labels 1 and 2 in the label table are both L1"),
        ({1: "L1", "1": "L2"}, "label 1 is in the label table twice"),
    ],
)
def test_a_wrong_table_is_refused_with_its_row(table, message):
    with pytest.raises(InputError, match=message):
        label_scheme(table)


def test_subregions_are_those_of_the_tool_and_a_body_is_needed():
    table = subregion_scheme()
    assert (table[41], table[49], table[50]) == ("arch", "body_border", "body")
    assert len(table) == 10
    assert subregion_scheme({1: "body", 2: "body", 3: "arch"}) == {1: "body", 2: "body", 3: "arch"}
    with pytest.raises(InputError, match="names no vertebral body"):
        subregion_scheme({1: "arch"})
    with pytest.raises(InputError, match="named 'corpus'"):
        subregion_scheme({1: "corpus"})
