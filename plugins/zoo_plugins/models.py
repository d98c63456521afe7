"""Named models: specs, plain data. `zoo show NAME` prints one, `--model=NAME` and `zoo.create_model(NAME)` build it.

Every argument that an ablation may touch is listed, so that each can be overridden alone.
"""

from typing import Any


def bgmv2(backbone: str) -> dict[str, Any]:
    """BackgroundMattingV2 for HD (c = 4, k = 5,000) with its joint training's losses and learning rates."""
    return {
        "class_path": "BackgroundMatting",
        "init_args": {
            "backbone": {
                "class_path": "TimmBackbone",
                "init_args": {
                    "name": backbone,
                    "output_stride": 16,
                    "pretrained": False,
                    "stride_in_first_conv": False,
                    "activation": None,
                },
            },
            "error_map": {"class_path": "PredictedError", "init_args": {}},
            "selector": {"class_path": "TopK", "init_args": {"patches": 5000, "fixed_count": False}},
            "refiner": {"class_path": "PatchRefiner", "init_args": {"kernel_size": 3}},
            "foreground": "residual",
            "base_scale": 0.25,
            "losses": {
                "alpha": {"class_path": "AlphaL1", "init_args": {"at": "full", "weight": 1.0}},
                "gradient": {"class_path": "GradientL1", "init_args": {"at": "full", "weight": 1.0}},
                "foreground": {"class_path": "ForegroundL1", "init_args": {"at": "full", "weight": 1.0}},
                "coarse_alpha": {"class_path": "AlphaL1", "init_args": {"at": "coarse", "weight": 1.0}},
                "coarse_gradient": {"class_path": "GradientL1", "init_args": {"at": "coarse", "weight": 1.0}},
                "coarse_foreground": {"class_path": "ForegroundL1", "init_args": {"at": "coarse", "weight": 1.0}},
                "error": {"class_path": "ErrorMSE", "init_args": {"detach_target": True, "weight": 1.0}},
            },
            "learning_rates": {"backbone": 5e-5, "aspp": 5e-5, "decoder": 1e-4, "refiner": 3e-4},
            "schedule": "constant",
            "metrics": "bgmv2",
        },
    }


def dad3dnet(backbone: dict[str, Any]) -> dict[str, Any]:
    """DAD-3DNet as released, with the losses, weights and learning rate of its training code.

    The head model stands in for FLAME, whose file nobody may pass on, with FLAME's counts; with your own file:
    `head_model={"class_path": "FlameHead", "init_args": {"path": "generic_model.pkl"}}`.
    """
    return {
        "class_path": "HeadAlignment",
        "init_args": {
            "backbone": {"class_path": "TimmBackbone", "init_args": backbone},
            "fusion": {
                "class_path": "GatedBiFPN",
                "init_args": {"channels": 256, "layers": 2, "batch_norm_momentum": 3e-4},
            },
            "landmark_branch": {"class_path": "HeatmapLandmarks", "init_args": {"width": 512, "dropout": 0.3}},
            "head_model": {"class_path": "ProceduralHead", "init_args": {}},
            "losses": {
                "heatmap": {"class_path": "SoftIoUHeatmap", "init_args": {"weight": 1.0}},
                "vertices": {
                    "class_path": "VertexLoss",
                    "init_args": {"subsets": {"head": 0.5, "face_with_ears": 0.75, "face": 1.0}, "weight": 50.0},
                },
                "reprojection": {
                    "class_path": "ReprojectionLoss",
                    "init_args": {"subsets": {"face": 0.5, "face_with_ears": 0.5}, "weight": 0.05},
                },
                "landmarks": {"class_path": "LandmarkL1", "init_args": {"weight": 100.0}},
                "rotation": {"class_path": "RotationGeodesic", "init_args": {"weight": 0.0}},
            },
            "learning_rates": {
                "backbone": 1e-3,
                "fusion": 1e-3,
                "landmark_branch": 1e-3,
                "shape_head": 1e-3,
                "pose_head": 1e-3,
            },
            "schedule": "plateau",
            "image_size": 256,
            "width": 512,
            "dropout": 0.3,
        },
    }


bgmv2_resnet50 = bgmv2("resnet50")
bgmv2_resnet101 = bgmv2("resnet101")
bgmv2_mobilenetv2 = bgmv2("mobilenetv2_100")

dad3dnet_resnet50 = dad3dnet(
    {"name": "resnet50", "output_stride": 32, "pretrained": False, "stride_in_first_conv": True, "activation": None}
)
dad3dnet_mobilenet = dad3dnet(
    {
        "name": "mobilenetv1_100",
        "output_stride": 32,
        "pretrained": False,
        "stride_in_first_conv": False,
        "activation": "relu",
    }
)
