"""Metrics of 3D heads: reprojection NME, Z_n, Chamfer, pose error, the NoW protocol, F_Q; together, and by attribute.

Each is a pure function that gives one value a head. `head_metrics` feeds them all with the output for a batch and its
ground truth, and gives the means over heads; `evaluate_now` measures predicted meshes on a user's own NoW data set.

NME comes from the mesh: from the head model's 68 landmarks, projected. What a landmark branch finds in the picture by
itself is `landmark_nme`, another number.
"""

from zoo.heads.measures import MEASURES, Measure
from zoo.heads.metrics.alignment import Similarity, procrustes
from zoo.heads.metrics.attributes import AttributeRow, attribute_table
from zoo.heads.metrics.chamfer import chamfer_to_ground_truth
from zoo.heads.metrics.collected import HeadMetrics, head_metrics
from zoo.heads.metrics.consistency import Consistency, annotation_consistency
from zoo.heads.metrics.depth_order import zn_accuracy
from zoo.heads.metrics.now import now_error
from zoo.heads.metrics.now_folder import NowResult, evaluate_now
from zoo.heads.metrics.points import SEVEN_POINTS, seven_points
from zoo.heads.metrics.pose import PoseError, pose_error
from zoo.heads.metrics.reprojection import reprojection_nme

__all__ = [
    "MEASURES",
    "SEVEN_POINTS",
    "AttributeRow",
    "Consistency",
    "HeadMetrics",
    "Measure",
    "NowResult",
    "PoseError",
    "Similarity",
    "annotation_consistency",
    "attribute_table",
    "chamfer_to_ground_truth",
    "evaluate_now",
    "head_metrics",
    "now_error",
    "pose_error",
    "procrustes",
    "reprojection_nme",
    "seven_points",
    "zn_accuracy",
]
