"""Tables of published dimensions, T10 to L5, and where each number comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["BODIES", "DIMENSION_SOURCES", "DISCS", "POSTERIOR", "Source"]


@dataclass(frozen=True)
class Source:
    """Where a number comes from.

    Parameters
    ----------
    citation : str
        The publication, or the reasoning where there is none.
    standing : str
        `read`: read in the publication's abstract or table; `recalled, high|medium|low`: known from the publication and
        not read again, with that confidence; `choice`: no published value, chosen here for the reason given.
    """

    citation: str
    standing: str


_PANJABI = Source("Panjabi et al. 1991, Spine 16:888 (thoracic); 1992, Spine 17:299 (lumbar)", "recalled, high")
_WANG = Source("Wang, Battie, Videman 2012, Eur Spine J 21:2316 (591 lumbar endplates of men)", "read")
_PEDICLE = Source(
    "rounded from Panjabi et al. 1991, 1992 for T12 to L2; kept below, where pedicles are wider; narrower at T10, T11",
    "recalled, medium",
)
_CANAL = Source(
    "the closed area is 264 mm2, within the lower quartiles (249 to 276 mm2) of the osseous lumbar canal in CT in "
    "Diagnostics 2023, 13:734 (means 276 to 323 mm2): a canal seen from end to end is narrower than one slice of it",
    "choice",
)
_LAYER = Source(
    "Silva et al. 1994, Bone 15:409: mean of direct measurements of shell and endplate at L1 over 45 years; taken for "
    "every level (the cortex of L1 is thinner than that of L2 to L5 in Palepu et al. 2019, Int J Spine Surg 13:361)",
    "read (L1); choice (other levels)",
)
_APEX = Source(
    "the section's centre, 2 mm behind half the depth; CT of lower lumbar spines finds the deepest point in the "
    "posterior half of the endplate (W. Sun et al., CT of 80 adults, L3 to S1), without a number in its abstract",
    "choice",
)
_ARCH = Source("a plausible size, so that a label map looks like a vertebra; no result depends on it", "choice")

DIMENSION_SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "superior_width_mm": _PANJABI,
        "superior_depth_mm": _PANJABI,
        "inferior_width_mm": _PANJABI,
        "inferior_depth_mm": _PANJABI,
        "posterior_height_mm": _PANJABI,
        "anterior_height_mm": Source("compiled from radiographic and cadaver series", "recalled, low"),
        "superior_concavity_mm": _WANG,
        "inferior_concavity_mm": _WANG,
        "superior_apex_fraction": _APEX,
        "inferior_apex_fraction": _APEX,
        "central_endplate_fraction": _WANG,
        "waist_fraction": Source(
            "makes the volume of L1 the 25 cm3 implied by Liebschner 2001 (14 % fill is 3.5 cm3)", "choice"
        ),
        "posterior_indentation_mm": Source("a slightly concave posterior wall, flat to 0.5 mm", "choice"),
        "shell_thickness_mm": _LAYER,
        "superior_endplate_thickness_mm": _LAYER,
        "inferior_endplate_thickness_mm": _LAYER,
        "canal_width_mm": _CANAL,
        "canal_depth_mm": _CANAL,
        "pedicle_width_mm": _PEDICLE,
        "pedicle_height_mm": _PEDICLE,
        "lamina_thickness_mm": _ARCH,
        "spinous_process_mm": _ARCH,
        "transverse_span_mm": _ARCH,
        "height_mm": Source(
            "compiled from radiographic series; L4-L5 read in a CT series of north-east Indian men (middle height)",
            "recalled, medium (T12-L1 to L3-L4), low (T10 to T12); read (L4-L5)",
        ),
        "wedge_deg": Source(
            "L4-L5 from a CT series of north-east Indian adults (12 to 13 degrees); others chosen: T10 to L2 has "
            "0 to 6 degrees of kyphosis and L1 to L5 about 43 degrees of lordosis (recalled, high)",
            "read (L4-L5); choice (others)",
        ),
        "nucleus_area_fraction": Source("within the 30 to 50 % of the disc's area that models use", "recalled, high"),
        "nucleus_posterior_mm": Source(
            "concentric with the normalised section, whose centre already lies behind the centroid; the nucleus' "
            "centroid is slightly posterior in B. Yang et al. 2019, J Biomech Eng 141:051004 (abstract, no number)",
            "choice",
        ),
        "bulge_mm": Source("flush with both rims, as the discs between labelled bodies are", "choice"),
    }
)
"""Source and standing of every field of `VertebraDimensions` and `DiscDimensions`."""

# Superior width and depth, inferior width and depth, posterior height, anterior height, all mm.
BODIES: Mapping[str, tuple[float, float, float, float, float, float]] = MappingProxyType(
    {
        "T10": (31.9, 30.5, 35.4, 31.6, 20.2, 19.0),
        "T11": (34.9, 31.9, 39.1, 31.8, 21.3, 20.0),
        "T12": (39.0, 32.8, 42.1, 33.4, 22.7, 22.0),
        "L1": (41.2, 34.1, 43.3, 35.3, 23.8, 23.0),
        "L2": (42.6, 34.6, 45.5, 34.9, 24.3, 24.5),
        "L3": (44.1, 35.2, 48.0, 34.8, 23.8, 25.0),
        "L4": (46.6, 35.5, 49.5, 33.9, 24.1, 25.5),
        "L5": (47.3, 34.7, 49.4, 33.2, 22.9, 26.5),
    }
)

# What the arch has otherwise than the defaults of `VertebraDimensions`: thoracic arches are narrower.
POSTERIOR: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "T10": MappingProxyType({"canal_width_mm": 18.0, "pedicle_width_mm": 7.0, "transverse_span_mm": 55.0}),
        "T11": MappingProxyType({"canal_width_mm": 20.0, "pedicle_width_mm": 8.0, "transverse_span_mm": 55.0}),
        "T12": MappingProxyType({"transverse_span_mm": 55.0}),
    }
)

# Height mm, wedge degrees (anterior higher is positive).
DISCS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "T10-T11": (5.0, 0.0),
        "T11-T12": (5.5, 0.0),
        "T12-L1": (6.5, 1.0),
        "L1-L2": (7.75, 4.0),
        "L2-L3": (9.25, 7.0),
        "L3-L4": (10.25, 9.0),
        "L4-L5": (10.8, 12.5),
    }
)
