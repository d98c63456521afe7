"""Label and unit of each number in a table of results, and the numbers of each preset."""

from typing import Literal, NamedTuple

FAILURE_NME = 5.0
"""Per cent of the head's size; a head whose NME is above it counts as failed (the threshold of DAD-3DNet's code)."""

PresetName = Literal["fast", "full"]


class Measure(NamedTuple):
    """One number of a table of results.

    Example:
        >>> MEASURES["nme"].unit
        '% of the head box'
    """

    label: str
    unit: str
    higher_is_better: bool = False


MEASURES: dict[str, Measure] = {
    "nme": Measure("Reprojection NME of the mesh's 68 landmarks", "% of the head box"),
    "landmark_nme": Measure("NME of the landmark branch's 68 landmarks", "% of the head box"),
    "pose": Measure("Pose error ‖I − RpRgᵀ‖_F", "0 to 2.83"),
    "angle": Measure("Angle between the rotations", "°"),
    "angle_folded": Measure("The same, folded at 90°", "°"),
    "failure_rate": Measure(f"Heads with an NME above {FAILURE_NME:g} % or without usable prediction", "share"),
    "unusable": Measure("Predictions not finite or without extent, left out of all means", "heads"),
    "z5": Measure("Z5 accuracy, n nearest neighbours (paper)", "share", higher_is_better=True),
    "z5_official": Measure("Z5 accuracy as the released code pairs vertices", "share", higher_is_better=True),
    "chamfer": Measure("Chamfer distance from the true face, inner eye corners 20 apart", "squared units"),
    "rmse": Measure("3D RMSE of the head's vertices after rigid alignment", "mm"),
    "now_median": Measure("NoW protocol on synthetic scans, median", "mm"),
    "now_mean": Measure("NoW protocol on synthetic scans, mean", "mm"),
    "now_std": Measure("NoW protocol on synthetic scans, standard deviation", "mm"),
    "f_q": Measure("F_Q annotation consistency (project-defined)", "share", higher_is_better=True),
    "f_q_auc": Measure("AUC of F_Q (project-defined)", "share", higher_is_better=True),
}
"""All keys of `HeadMetrics.compute`."""

FAST = ("nme", "landmark_nme", "pose", "angle", "angle_folded")
"""Cheap means over heads, for validation during training."""
FULL = (*FAST, "z5", "z5_official", "chamfer", "rmse")
"""Means over heads of a test, which also measures NoW and F_Q."""
