"""A tiny head network and its training, for the tests of this folder."""

import contextlib
import copy
import io
from pathlib import Path
from typing import Any

import pytest
import yaml

import zoo.cli

MODEL: dict[str, Any] = {
    "class_path": "HeadAlignment",
    "init_args": {
        "backbone": {"class_path": "TimmBackbone", "init_args": {"name": "test_resnet", "output_stride": 32}},
        "fusion": {"class_path": "ConcatFusion", "init_args": {"channels": 8}},
        "landmark_branch": {"class_path": "HeatmapLandmarks", "init_args": {"width": 16}},
        "head_model": {"class_path": "OpenHead"},
        "losses": {
            "heatmap": {"class_path": "SoftIoUHeatmap", "init_args": {"weight": 1.0}},
            "vertices": {"class_path": "VertexLoss", "init_args": {"weight": 50.0}},
            "reprojection": {"class_path": "ReprojectionLoss", "init_args": {"weight": 0.05}},
            "landmarks": {"class_path": "LandmarkL1", "init_args": {"weight": 100.0}},
            "rotation": {"class_path": "RotationGeodesic", "init_args": {"weight": 0.0}},
        },
        "learning_rates": dict.fromkeys(("backbone", "fusion", "landmark_branch", "shape_head", "pose_head"), 1e-3),
        "image_size": 64,
        "width": 16,
    },
}

HEADS = {"class_path": "SyntheticHeads", "init_args": {"count": 4, "size": 96}}

CONFIG: dict[str, Any] = {
    "name": "tiny-heads",
    "seed_everything": 3,
    "trainer": {
        "max_epochs": 2,
        "accelerator": "cpu",
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        "enable_progress_bar": False,
    },
    "model": MODEL,
    "data": {
        "class_path": "HeadData",
        "init_args": {
            "train": {"dataset": HEADS},
            "validation": {"dataset": HEADS, "batch_size": 2},
            "test": {"rendered": {"dataset": HEADS, "crops": 2}},
            "augmentations": {
                "flip": {"class_path": "HeadFlip"},
                "affine": {"class_path": "HeadAffine"},
                "colour": {"class_path": "HeadColour"},
                "occlusion": {"class_path": "HeadOcclusion"},
            },
            "batch_size": 2,
            "workers": 0,
        },
    },
}


@pytest.fixture
def heads_config() -> dict[str, Any]:
    """The settings of a tiny fit on rendered heads; the test may change them."""
    return copy.deepcopy(CONFIG)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one tiny fit. Shared: tests only read it."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "heads.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    output = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        assert zoo.cli.main(["fit", "--config", "heads.yaml"]) == 0, output.getvalue()
    return folder
