"""Metrics of 3D heads: reprojection NME, Z_n, Chamfer, 3D RMSE, pose error, NoW, F_Q; together, and by attribute.

Each is a pure function with one value per head. `head_metrics` updates all of them with a batch and its output and
averages over heads; `evaluate_now` measures predicted meshes on a user's own NoW data set.

NME is that of the head model's 68 landmarks, projected. `landmark_nme` is that of the landmark branch.
"""

from zoo.heads.measures import MEASURES, Measure
from zoo.heads.metrics.collected import AttributeRow, HeadMetrics, attribute_table, head_metrics
from zoo.heads.metrics.now import now_error
from zoo.heads.metrics.now_folder import NowResult, evaluate_now
from zoo.heads.metrics.points import SEVEN_POINTS, Similarity, procrustes, seven_points
from zoo.heads.metrics.pose import Consistency, PoseError, annotation_consistency, pose_error, reprojection_nme
from zoo.heads.metrics.shape import chamfer_to_ground_truth, rigid_rmse, zn_accuracy

__all__ = [
    "MEASURES", "SEVEN_POINTS", "AttributeRow", "Consistency", "HeadMetrics", "Measure", "NowResult", "PoseError",
    "Similarity", "annotation_consistency", "attribute_table", "chamfer_to_ground_truth", "evaluate_now",
    "head_metrics", "now_error", "pose_error", "procrustes", "reprojection_nme", "rigid_rmse", "seven_points",
    "zn_accuracy",
]  # fmt: skip
