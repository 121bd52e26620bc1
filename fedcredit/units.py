"""Numbers, names and arrays that must not be mixed up."""

from __future__ import annotations

from typing import NewType, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bytes8",
    "Epsilon",
    "Flags",
    "Floats",
    "InstitutionId",
    "Ints",
    "NanoRho",
    "Points",
]

InstitutionId = NewType("InstitutionId", str)
Epsilon = NewType("Epsilon", float)
NanoRho = NewType("NanoRho", int)  # zCDP in steps of 1e-9, always rounded towards more cost
Points = NewType("Points", int)  # a score between 350 and 950

Bytes8: TypeAlias = NDArray[np.uint8]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
