"""From several lists to one: rank fusion, score fusion, the smoothed hybrid, rank aggregation."""

from __future__ import annotations

from sleuth.fusion.aggregate import borda, kemeny, kendall_distance
from sleuth.fusion.combine import PRESETS, Combination, fuse
from sleuth.fusion.normalize import NORMALIZERS, minmax, rank_points, unchanged, zscore
from sleuth.fusion.smoothed import Smoothed, SmoothedPool

__all__ = [
    "NORMALIZERS",
    "PRESETS",
    "Combination",
    "Smoothed",
    "SmoothedPool",
    "borda",
    "fuse",
    "kemeny",
    "kendall_distance",
    "minmax",
    "rank_points",
    "unchanged",
    "zscore",
]
