"""Named models: specs, plain data. `zoo show NAME` prints one, `--model=NAME` and `zoo.create_model(NAME)` build it.

Every argument that an ablation may change is listed, so that each can be overridden alone.
"""

from typing import Any


def spec(class_path: str, /, **init_args: Any) -> dict[str, Any]:
    """Return the spec of a part."""
    return {"class_path": class_path, "init_args": init_args}


def timm_backbone(
    name: str, output_stride: int, stride_in_first_conv: bool = False, activation: str | None = None
) -> dict[str, Any]:
    """Return the spec of a backbone with all its arguments."""
    return spec(
        "TimmBackbone",
        name=name,
        output_stride=output_stride,
        pretrained=False,
        stride_in_first_conv=stride_in_first_conv,
        activation=activation,
    )


def bgmv2(backbone: str) -> dict[str, Any]:
    """Return BackgroundMattingV2 for HD (c = 4, k = 5,000) with its joint training's losses and learning rates.

    Example:
        >>> bgmv2("resnet50")["init_args"]["selector"]
        {'class_path': 'TopK', 'init_args': {'patches': 5000, 'fixed_count': False}}
    """
    return spec(
        "BackgroundMatting",
        backbone=timm_backbone(backbone, 16),
        context=spec("ASPP", width=256),
        decoder_width=256,
        guide=spec("NoGuide"),
        captured_background=True,
        error_map=spec("PredictedError"),
        selector=spec("TopK", patches=5000, fixed_count=False),
        refiner=spec("PatchRefiner", kernel_size=3),
        foreground="residual",
        base_scale=0.25,
        losses={
            "alpha": spec("AlphaL1", at="full", weight=1.0),
            "gradient": spec("GradientL1", at="full", weight=1.0),
            "foreground": spec("ForegroundL1", at="full", weight=1.0),
            "coarse_alpha": spec("AlphaL1", at="coarse", weight=1.0),
            "coarse_gradient": spec("GradientL1", at="coarse", weight=1.0),
            "coarse_foreground": spec("ForegroundL1", at="coarse", weight=1.0),
            "error": spec("ErrorMSE", detach_target=True, weight=1.0),
        },
        learning_rates={"backbone": 5e-5, "aspp": 5e-5, "decoder": 1e-4, "refiner": 3e-4},
        schedule="constant",
        optimizer={"class_path": "Adam", "init_args": {}},
        frozen=[],
        metrics="bgmv2",
        similarity=False,
    )


def dad3dnet(name: str, stride_in_first_conv: bool = False, activation: str | None = None) -> dict[str, Any]:
    """Return DAD-3DNet as released, with the losses, weights and learning rate of its training code.

    The head model has FLAME's counts and replaces FLAME, whose file may not be redistributed; with your own file:
    `head_model={"class_path": "FlameHead", "init_args": {"path": "generic_model.pkl"}}`.

    Example:
        >>> dad3dnet("resnet50")["init_args"]["head_model"]
        {'class_path': 'ProceduralHead', 'init_args': {'shape': None, 'expression': None}}
    """
    trained = ("backbone", "fusion", "landmark_branch", "shape_head", "pose_head")
    return spec(
        "HeadAlignment",
        backbone=timm_backbone(name, 32, stride_in_first_conv, activation),
        fusion=spec("GatedBiFPN", channels=256, layers=2, batch_norm_momentum=3e-4),
        landmark_branch=spec("HeatmapLandmarks", width=512, dropout=0.3),
        head_model=spec("ProceduralHead", shape=None, expression=None),
        losses={
            "heatmap": spec("SoftIoUHeatmap", weight=1.0),
            "vertices": spec("VertexLoss", subsets={"head": 0.5, "face_with_ears": 0.75, "face": 1.0}, weight=50.0),
            "reprojection": spec("ReprojectionLoss", subsets={"face": 0.5, "face_with_ears": 0.5}, weight=0.05),
            "landmarks": spec("LandmarkL1", weight=100.0),
            "rotation": spec("RotationGeodesic", weight=0.0),
        },
        learning_rates=dict.fromkeys(trained, 1e-3),
        schedule="plateau",
        optimizer={"class_path": "Adam", "init_args": {}},
        frozen=[],
        image_size=256,
        width=512,
        dropout=0.3,
    )


bgmv2_resnet50 = bgmv2("resnet50")
bgmv2_resnet101 = bgmv2("resnet101")
bgmv2_mobilenetv2 = bgmv2("mobilenetv2_100")
dad3dnet_resnet50 = dad3dnet("resnet50", stride_in_first_conv=True)
dad3dnet_mobilenet = dad3dnet("mobilenetv1_100", activation="relu")
