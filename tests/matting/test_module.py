"""BackgroundMatting, the module: losses, learning rates, warm starts, and steps of training."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from zoo_plugins.datasets.synthetic import SyntheticMattes
from zoo_plugins.losses.matting import AlphaL1
from zoo_plugins.models import bgmv2

import zoo
from zoo.core.errors import ZooError
from zoo.core.parts import LossTerm
from zoo.matting.data import EvaluationSet, MattingData
from zoo.matting.metrics import matting_metrics
from zoo.matting.module import BackgroundMatting, measure_samples
from zoo.matting.parts import MattingBatch, MattingOutput
from zoo.training.data import samples_of

SMALL = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}
RATES = {"backbone": 1e-4, "aspp": 5e-4, "decoder": 5e-4}
STAGE_ONE: dict[str, Any] = {"refiner": "NoRefiner", "base_scale": 1, "learning_rates": RATES}


def made(**arguments: Any) -> BackgroundMatting:
    arguments = {"backbone": SMALL, "selector": {"class_path": "TopK", "init_args": {"patches": 20}}} | arguments
    module = zoo.create_model("bgmv2_mobilenetv2", **arguments)
    assert isinstance(module, BackgroundMatting)
    return module


def samples(count: int = 2, height: int = 64, width: int = 80) -> MattingBatch:
    generator = torch.Generator().manual_seed(0)
    source, background, foreground = torch.rand(3, count, 3, height, width, generator=generator)
    return MattingBatch(source, background, torch.rand(count, 1, height, width, generator=generator), foreground)


class Constant(LossTerm):
    """A loss term of a given value; it counts how often it is computed."""

    def __init__(self, value: float, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.value = value
        self.calls = 0

    reads = frozenset({"alpha"})
    targets = frozenset({"alpha"})

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        self.calls += 1
        return output.alpha.mean() * 0 + self.value


class Reader(Constant):
    """A term that reads what it is told."""

    def __init__(self, reads: list[str], targets: list[str]) -> None:
        super().__init__(1.0)
        self.reads, self.targets = frozenset(reads), frozenset(targets)


# Losses


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    losses = {"first": Constant(2.0), "second": Constant(3.0, weight=0.5), "negative": Constant(1.0, weight=-1.0)}
    module, batch = made(losses=losses), samples()
    total, terms = module.loss(module.compute(batch), batch)
    assert total.item() == pytest.approx(2.0 + 1.5 - 1.0)
    assert {name: value.item() for name, value in terms.items()} == {"first": 2.0, "second": 3.0, "negative": 1.0}


def test_a_term_of_weight_zero_is_not_computed() -> None:
    silent = Constant(math.nan, weight=0)
    module, batch = made(losses={"silent": silent, "heard": Constant(1.0)}), samples()
    total, terms = module.loss(module.compute(batch), batch)
    assert total.item() == 1.0
    assert list(terms) == ["heard"]
    assert silent.calls == 0


def test_losses_are_computed_in_single_precision_under_autocast() -> None:
    module, batch = made(), samples()
    with torch.autocast("cpu", torch.bfloat16):
        output = module.compute(batch)
        assert output.error.dtype == torch.bfloat16
        total, terms = module.loss(output, batch)
    _, expected = module.loss(MattingOutput(*(field.float() for field in output)), batch)
    for name, value in terms.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[name]), name
    total.backward()
    assert module.network.decoder.conv4.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        (
            {"mine": Reader(["alhpa"], ["alpha"])},
            r"term 'mine' \(Reader\) reads alhpa, which the output does not have; it has alpha, ",
        ),
        (
            {"mine": Reader(["alpha"], ["depth"])},
            r"term 'mine' \(Reader\) reads depth, which the batch does not have; it has .*trimap",
        ),
        ({"alpha": AlphaL1(weight=0)}, r"at least one loss term with a weight other than 0"),
    ],
)
def test_a_term_that_would_silently_never_run_is_refused(losses: dict[str, LossTerm], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        made(losses=losses)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_its_name_and_a_way_out(value: float) -> None:
    module, batch = made(losses={"fine": Constant(1.0), "broken": Constant(value)}), samples()
    with pytest.raises(
        FloatingPointError, match=rf"not finite at step 0 \(broken={value:g}\); .*--trainer\.precision=32"
    ) as error:
        module.loss(module.compute(batch), batch)
    assert "fine" not in str(error.value)


# Learning rates


def test_every_part_has_its_own_learning_rate() -> None:
    module = made(learning_rates=RATES | {"refiner": 3e-4})
    groups = module.configure_optimizers().param_groups
    assert {group["name"]: group["lr"] for group in groups} == RATES | {"refiner": 3e-4}
    trained = [id(parameter) for group in groups for parameter in group["params"]]
    assert trained == [id(parameter) for parameter in module.network.parameters()]


def test_a_missing_or_unknown_learning_rate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"learning_rates has none for 'refiner': add learning_rates\.refiner"):
        made(learning_rates=RATES)
    with pytest.raises(ValueError, match=r"learning_rates names 'decodr', .*did you mean decoder"):
        made(learning_rates=RATES | {"refiner": 3e-4, "decodr": 1e-4})


def test_a_frozen_part_needs_no_learning_rate_and_something_must_be_left_to_train() -> None:
    made(learning_rates=RATES, frozen=["refiner"])
    with pytest.raises(ValueError, match=r"frozen names 'decodr', .*did you mean decoder"):
        made(learning_rates=RATES, frozen=["refiner", "decodr"])
    with pytest.raises(ValueError, match=r"frozen names every part \(aspp, backbone, decoder\)"):
        made(**STAGE_ONE | {"frozen": ["backbone", "aspp", "decoder"]})


def test_a_part_without_parameters_may_have_a_learning_rate_and_needs_none() -> None:
    for rates in (RATES, RATES | {"refiner": 1e-4}):
        groups = made(**STAGE_ONE | {"learning_rates": rates}).configure_optimizers().param_groups
        assert [group["name"] for group in groups] == ["backbone", "aspp", "decoder"]


# Warm starts


def saved(module: BackgroundMatting, folder: Path) -> str:
    for parameter in module.parameters():
        nn.init.uniform_(parameter)
    path = folder / "stage1.ckpt"
    torch.save({"state_dict": module.state_dict()}, path)
    return str(path)


def test_the_joint_network_starts_from_the_first_stage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = made(**STAGE_ONE)
    path = saved(first, tmp_path)
    fresh = made().network.refiner.state_dict()
    with caplog.at_level("INFO"):
        second = made(checkpoint=path)
    told = [record.getMessage() for record in caplog.records if "fresh" in record.getMessage()]
    assert told == ["stage1.ckpt has no weights for refiner: starting fresh there."]
    state = second.network.state_dict()
    for key, value in first.network.state_dict().items():
        assert torch.equal(state[key], value), key
    for key, value in fresh.items():
        assert torch.equal(state[f"refiner.{key}"], value), key


def test_a_warm_start_from_all_weights_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(made(), tmp_path)
    with caplog.at_level("INFO"):
        made(checkpoint=path)
    assert not [record for record in caplog.records if "fresh" in record.getMessage()]


def test_the_first_stage_goes_on_from_the_joint_network(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    joint = made()
    path = saved(joint, tmp_path)
    with caplog.at_level("INFO"):
        base = made(**STAGE_ONE, checkpoint=path)
    assert "stage1.ckpt has weights for refiner, unused here: ignoring them." in caplog.text
    state = joint.network.state_dict()
    for key, value in base.network.state_dict().items():
        assert torch.equal(state[key], value), key


def test_a_warm_start_that_would_drop_single_weights_is_an_error(tmp_path: Path) -> None:
    extra = {"network.refiner.conv9.weight": torch.zeros(1), "network.critic.bias": torch.zeros(1)}
    torch.save({"state_dict": made().state_dict() | extra}, tmp_path / "more.ckpt")
    with pytest.raises(ZooError, match=r"fit this model: unexpected refiner\.conv9\.weight; unexpected critic"):
        made(checkpoint=str(tmp_path / "more.ckpt"))


def test_a_part_of_which_something_is_missing_does_not_start_fresh(tmp_path: Path) -> None:
    module = made()
    state = module.state_dict()
    del state["network.refiner.conv2.weight"]
    torch.save({"state_dict": state}, tmp_path / "broken.ckpt")
    with pytest.raises(ZooError, match=r"does not fit this model: missing refiner\.conv2\.weight\. Choose"):
        made(checkpoint=str(tmp_path / "broken.ckpt"))


def test_weights_of_something_else_are_an_error(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 3).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ZooError, match=r"other\.pth does not fit this model: unexpected weight; unexpected bias"):
        made(checkpoint=str(tmp_path / "other.pth"))


# Training and use


def fit(module: BackgroundMatting, batch: MattingBatch, **settings: Any) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        max_steps=2,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    trainer.fit(module, torch.utils.data.DataLoader([batch, batch], batch_size=None))
    return trainer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_batch_of_one_trains_every_part(precision: Any) -> None:
    module = made()
    before = {name: parameter.clone() for name, parameter in module.network.named_parameters()}
    trainer = fit(module, samples(1), precision=precision)
    moved = {
        name.split(".")[0]
        for name, parameter in module.network.named_parameters()
        if not torch.equal(before[name], parameter)
    }
    assert moved == {"backbone", "aspp", "decoder", "refiner"}
    logged = {name for name in trainer.callback_metrics if name.startswith("train/")}
    assert logged == {"train/loss"} | {f"train/{name}" for name in bgmv2("resnet50")["init_args"]["losses"]}


@pytest.mark.filterwarnings("ignore")
def test_training_without_any_patch_above_zero_leaves_the_refiner_as_it_was() -> None:
    module = made(selector="NoPatches")
    before = {name: parameter.clone() for name, parameter in module.network.refiner.named_parameters()}
    fit(module, samples(1))
    assert all(torch.equal(before[name], parameter) for name, parameter in module.network.refiner.named_parameters())


@pytest.mark.filterwarnings("ignore")
def test_two_trainings_from_one_seed_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    results = []
    for _ in range(2):
        module = made(selector={"class_path": "RandomPatches", "init_args": {"patches": 20}})
        torch.rand(3)  # what was drawn elsewhere does not matter
        fit(module, samples(2))
        results.append(module.network.state_dict())
    assert all(torch.equal(results[0][key], results[1][key]) for key in results[0])


@pytest.mark.filterwarnings("ignore")
def test_the_oracle_refuses_to_be_trained_with() -> None:
    with pytest.raises(ValueError, match=r"OracleError reads the true alpha and cannot train: .*zoo test"):
        fit(made(error_map="OracleError"), samples())


def test_the_oracle_gets_the_true_alpha_outside_training() -> None:
    module, batch = made(error_map="OracleError").eval(), samples()
    with torch.no_grad():
        output = module.compute(batch)
    assert output.refined.sum((1, 2, 3)).tolist() == [20, 20]
    with pytest.raises(ValueError, match="needs the true alpha"):
        module.predict_step(batch, 0)


def test_calling_the_module_gives_the_networks_output() -> None:
    module, batch = made().eval(), samples()
    with torch.no_grad():
        output, direct = module(batch.source, batch.background), module.network(batch.source, batch.background)
    assert isinstance(output, MattingOutput)
    assert all(torch.equal(one, other) for one, other in zip(output, direct, strict=True))


def test_the_first_samples_of_a_batch_take_their_names_along() -> None:
    batch = samples(3)._replace(name=["a", "b", "c"])
    first = samples_of(batch, slice(2))
    assert first.name == ["a", "b"]
    assert first.trimap is None
    assert torch.equal(first.source, batch.source[:2])


def test_samples_are_measured_alone_and_together() -> None:
    module, batch = made().eval(), samples(count=3)
    metrics = matting_metrics("bgmv2", prefix="test/one/")
    with torch.no_grad():
        measured = measure_samples(metrics, batch, module.compute(batch))
    assert len(measured) == 3
    for name in ("sad", "mse", "grad", "conn", "foreground_mse"):
        mean = sum(sample[name] for sample in measured) / 3
        assert mean == pytest.approx(metrics.compute()[f"test/one/{name}"].item(), rel=1e-5)
    assert len({sample["sad"] for sample in measured}) == 3


def test_it_names_the_metrics_that_it_logs() -> None:
    data = MattingData(None, {}, test={"one": EvaluationSet(SyntheticMattes(count=1, backgrounds=1, size=64))})
    names = made().metric_names(data)
    assert {"test/one/sad", "test/one/foreground_mse"} <= names
    assert not any(name.startswith("validation/") for name in names)
    similarity = {f"test/one/{name}" for name in ("psnr", "ssim", "composite_psnr", "composite_ssim")}
    assert made(similarity=True).metric_names(data) == names | similarity


def test_its_example_is_what_the_network_takes() -> None:
    with torch.device("meta"):
        source, background, target = made().example(48, 64)
    assert source.shape == background.shape == (1, 3, 48, 64)
    assert target.shape == (1, 1, 48, 64)
    assert source.is_meta


def test_a_batch_of_one_too_small_for_batch_norm_is_one_sentence() -> None:
    module = made(**STAGE_ONE)
    with pytest.raises(ValueError, match=r"^a batch of one, of images so small .* raise --data\.batch_size, or give"):
        module.training_step(samples(1, 16, 16), 0)
    module.loss(module.compute(samples(1)), samples(1))[0].backward()
