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
                "init_args": {"name": backbone, "output_stride": 16, "pretrained": False},
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


bgmv2_resnet50 = bgmv2("resnet50")
bgmv2_resnet101 = bgmv2("resnet101")
bgmv2_mobilenetv2 = bgmv2("mobilenetv2_100")
