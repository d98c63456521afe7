"""Training as a whole: resuming, curricula, several processes, prediction."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from zoo.media.images import read_image
from zoo.study.record import logged_lines

AUGMENTED = {
    "flip": {"class_path": "HorizontalFlip", "init_args": {"side": "foreground"}},
    "noise": {"class_path": "SensorNoise", "init_args": {"probability": 1.0}},
}


def configure(tiny: Any, **changes: Any) -> Path:
    """The tiny configuration with changed entries (dotted keys), as a file."""
    settings = yaml.safe_load(tiny.config.read_text())
    for key, value in changes.items():
        *path, last = key.split("__")
        place = settings
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    file = tiny.folder / "changed.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def weights(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=0, msg=name)


CHECKPOINT_EVERY_STEP = {
    "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
    "init_args": {
        "dirpath": "steps",
        "filename": "{step}",
        "every_n_train_steps": 1,
        "save_top_k": -1,
        "auto_insert_metric_name": False,
    },
}


@pytest.mark.parametrize(
    "cut", [1, 3, 4, 5], ids=["first epoch", "end of first epoch", "start of second", "middle of second"]
)
def test_a_run_that_was_cut_anywhere_resumes_to_the_same_weights(
    tiny: Any, command: Callable[..., Any], cut: int
) -> None:
    config = configure(
        tiny,
        data__init_args__train__squares__dataset__init_args__count=6,
        data__init_args__augmentations=AUGMENTED,
        trainer__callbacks=[CHECKPOINT_EVERY_STEP],
    )
    common = ("--plugin", tiny.plugin, "--config", config)
    assert command("fit", *common).code == 0
    assert len(list(tiny.folder.glob("steps/*.ckpt"))) == 6
    assert command("fit", *common, "--trainer.callbacks=null", "--ckpt_path", f"steps/{cut}.ckpt").code == 0
    whole, resumed = (weights(tiny.folder / f"runs/tiny/version_{number}/checkpoints/last.ckpt") for number in range(2))
    assert_same(whole, resumed)


def test_a_resumed_run_needs_nothing_but_the_checkpoint(tiny: Any, command: Callable[..., Any]) -> None:
    assert command("fit", *tiny.options, "--trainer.max_epochs=1").code == 0
    checkpoint = "runs/tiny/version_0/checkpoints/last.ckpt"
    assert command("fit", "--plugin", tiny.plugin, "--ckpt_path", checkpoint, "--trainer.max_epochs=2").code == 0
    assert command("fit", *tiny.options).code == 0
    assert_same(*(weights(tiny.folder / f"runs/tiny/version_{number}/checkpoints/last.ckpt") for number in (1, 2)))


def test_a_curriculum_resumes_into_its_next_stage(tiny: Any, command: Callable[..., Any]) -> None:
    stages = {
        "first": {"dataset": {"class_path": "Tiny", "init_args": {"count": 4}}, "canvas": 64, "epochs": 1},
        "second": {"dataset": {"class_path": "Tiny", "init_args": {"count": 6}}, "canvas": 48, "crop": [32, 48]},
    }
    config = configure(tiny, data__init_args__train=stages, trainer__callbacks=[CHECKPOINT_EVERY_STEP])
    common = ("--plugin", tiny.plugin, "--config", config)
    assert command("fit", *common).code == 0
    assert len(list(tiny.folder.glob("steps/*.ckpt"))) == 2 + 3
    for number, cut in enumerate((2, 4), start=1):
        assert command("fit", *common, "--trainer.callbacks=null", "--ckpt_path", f"steps/{cut}.ckpt").code == 0
        assert_same(
            *(weights(tiny.folder / f"runs/tiny/version_{version}/checkpoints/last.ckpt") for version in (0, number))
        )


def test_order_is_an_ablation_on_the_command_line(tiny: Any, command: Callable[..., Any]) -> None:
    stages = {
        "first": {"dataset": {"class_path": "Tiny", "init_args": {"count": 4}}, "canvas": 64, "epochs": 1},
        "second": {"dataset": {"class_path": "Tiny", "init_args": {"count": 6}}, "canvas": 64, "epochs": 1},
    }
    config = configure(tiny, data__init_args__train=stages)
    outcome = command(
        "fit", "--plugin", tiny.plugin, "--config", config, "--data.order=[second]", "--trainer.max_epochs=1"
    )
    assert outcome.code == 0, outcome.err
    assert torch.load(tiny.folder / "runs/tiny/version_0/checkpoints/last.ckpt", weights_only=True)["global_step"] == 3


def last_value(run: Path, name: str) -> float:
    """The last value that a run logged."""
    return [line[name] for line in logged_lines(run) if name in line][-1]


@pytest.mark.slow
def test_two_processes_measure_what_one_does(
    tiny: Any, command: Callable[..., Any], begun: Callable[..., subprocess.Popen[bytes]]
) -> None:
    config = configure(
        tiny, data__init_args__validation__dataset__init_args__count=5, data__init_args__validation__batch_size=1
    )
    several = ("--trainer.strategy=ddp", "--trainer.devices=2")
    training = begun("fit", "--plugin", tiny.plugin, "--config", config, *several)
    assert training.wait(timeout=300) == 0
    run = tiny.folder / "runs/tiny/version_0"
    assert not (tiny.folder / "runs/tiny/version_1").exists()
    together = last_value(run, "validation/sad")
    assert command("validate", "--plugin", tiny.plugin, "--ckpt_path", run / "checkpoints/last.ckpt").code == 0
    alone = last_value(tiny.folder / "runs/tiny/version_1", "validation/sad")
    assert alone == pytest.approx(together, abs=1e-6)

    words = ("--ckpt_path", run / "checkpoints/last.ckpt", "--trainer.max_epochs=3")
    assert command("fit", "--plugin", tiny.plugin, *words, "--trainer.devices=1", "--trainer.strategy=auto").code == 0
    resumed = tiny.folder / "runs/tiny/version_2"
    assert str(yaml.safe_load((resumed / "config.yaml").read_text())["trainer"]["devices"]) == "1"
    both, one = (
        torch.load(each / "checkpoints/last.ckpt", weights_only=True)["global_step"] for each in (run, resumed)
    )
    assert (both, one) == (2, 4), "an epoch has half as many steps on two devices"


def test_predict_mattes_a_folder(tiny: Any, fitted: Path, command: Callable[..., Any]) -> None:
    pictures = tiny.folder / "pictures"
    pictures.mkdir()
    for name, size in (("a", (40, 32)), ("b", (50, 30))):
        Image.new("RGB", size, "red").save(pictures / f"{name}.png")
    backgrounds = tiny.folder / "backgrounds"
    backgrounds.mkdir()
    for name, size in (("a", (40, 32)), ("b", (50, 30))):
        Image.new("RGB", size, "blue").save(backgrounds / f"{name}.jpg")
    outcome = command(
        "predict", "--plugin", tiny.plugin, "--ckpt_path", fitted / "checkpoints/last.ckpt",
        "--data.predict.source=pictures", "--data.predict.background=backgrounds", "--data.predict.output=out",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    out = tiny.folder / "out"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "alpha/a.png", "alpha/b.png", "composite/a.png", "composite/b.png",
    ]  # fmt: skip
    assert read_image(tiny.folder / "out/alpha/b.png", "L").shape == (30, 50)


def test_predict_refuses_to_overwrite_its_sources(tiny: Any, fitted: Path, command: Callable[..., Any]) -> None:
    (tiny.folder / "shots/alpha").mkdir(parents=True)
    Image.new("RGB", (40, 32), "red").save(tiny.folder / "shots/alpha/a.png")
    Image.new("RGB", (40, 32), "blue").save(tiny.folder / "empty.png")
    outcome = command(
        "predict", "--plugin", tiny.plugin, "--ckpt_path", fitted / "checkpoints/last.ckpt",
        "--data.predict.source=shots/alpha", "--data.predict.background=empty.png", "--data.predict.output=shots",
    )  # fmt: skip
    assert outcome.code == 1
    assert "would be overwritten" in outcome.complaint


def test_a_damaged_picture_in_a_worker_process_is_listed_and_stops_no_other(
    tiny: Any, fitted: Path, command: Callable[..., Any]
) -> None:
    (tiny.folder / "shots").mkdir()
    Image.new("RGB", (40, 32), "blue").save(tiny.folder / "empty.png")
    damaged = tiny.folder / "shots/a.png"
    Image.effect_noise((40, 32), 50).convert("RGB").save(damaged)
    damaged.write_bytes(damaged.read_bytes()[:1500])
    Image.new("RGB", (40, 32), "red").save(tiny.folder / "shots/b.png")
    (tiny.folder / "shots/clip.mp4").touch()
    outcome = command(
        "predict", "--plugin", tiny.plugin, "--ckpt_path", fitted / "checkpoints/last.ckpt", "--data.workers=1",
        "--data.predict.source=shots", "--data.predict.background=empty.png", "--data.predict.output=out",
    )  # fmt: skip
    assert outcome.code == 1
    assert "1 of 2 images was left out, the others are in out: shots/a.png is truncated" in outcome.complaint
    assert "Traceback" not in outcome.err
    assert [path.name for path in (tiny.folder / "out/alpha").iterdir()] == ["b.png"]
    assert "1 file that is no image and left out: clip.mp4" in outcome.err


def test_the_last_checkpoint_is_that_of_the_last_epoch_without_a_validation(
    tiny: Any, command: Callable[..., Any]
) -> None:
    assert command("fit", *tiny.options, "--trainer.check_val_every_n_epoch=5").code == 0
    last = torch.load(tiny.folder / "runs/tiny/version_0/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 4


def test_validating_a_checkpoint_needs_no_training_data(tiny: Any, command: Callable[..., Any]) -> None:
    root = tiny.folder / "mattes"
    for kind, mode in (("fgr", "RGB"), ("pha", "L"), ("bgr", "RGB")):
        (root / kind).mkdir(parents=True)
        for name in "ab":
            Image.new(mode, (64, 64), 128 if mode == "L" else "red").save(root / kind / f"{name}.png")
    dataset = {"class_path": "MatteFolder", "init_args": {"root": str(root), "backgrounds": str(root / "bgr")}}
    config = configure(tiny, data__init_args__train={"mine": {"dataset": dataset, "canvas": 64}})
    assert command("fit", "--plugin", tiny.plugin, "--config", config, "--trainer.max_epochs=1").code == 0
    shutil.rmtree(root)
    checkpoint = "runs/tiny/version_0/checkpoints/last.ckpt"
    for name in ("validate", "test"):
        outcome = command(name, "--plugin", tiny.plugin, "--ckpt_path", checkpoint)
        assert outcome.code == 0, outcome.err


def test_an_overlay_replaces_all_loss_terms(tiny: Any, command: Callable[..., Any]) -> None:
    overlay = tiny.folder / "mine.yaml"
    overlay.write_text("model: {init_args: {losses: {alpha: {class_path: AlphaL1}}}}")
    assert command("fit", *tiny.options, "--config", overlay, "--trainer.max_epochs=0").code == 0
    config = yaml.safe_load(Path("runs/tiny/version_0/config.yaml").read_text())
    assert list(config["model"]["init_args"]["losses"]) == ["alpha"]


def test_predict_without_pictures_says_what_to_give(tiny: Any, fitted: Path, command: Callable[..., Any]) -> None:
    outcome = command("predict", "--plugin", tiny.plugin, "--ckpt_path", fitted / "checkpoints/last.ckpt")
    assert outcome.code == 1
    assert "--data.predict.source=FOLDER" in outcome.complaint
