"""Contract of training modules."""

from abc import abstractmethod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from zoo.testing.data_modules import quiet_trainer
from zoo.testing.networks import check_equal
from zoo.testing.parts import PartContract, run_seed
from zoo.training.data import DataModule
from zoo.training.models import load
from zoo.training.module import TrainingModule

SIZE = (64, 64)
"""Height and width of the test images."""


class GradientCoverage(Callback):
    """Collects the parameters that ever lacked a gradient, or had one that was not finite."""

    def __init__(self) -> None:
        self.without: set[str] = set()
        self.not_finite: set[str] = set()

    def on_after_backward(self, trainer: Trainer, module: LightningModule) -> None:
        network: Any = module.network
        for name, value in network.named_parameters():
            if value.requires_grad and value.grad is None:
                self.without.add(name)
            elif value.grad is not None and not value.grad.isfinite().all():
                self.not_finite.add(name)


class ModuleContract(PartContract):
    """Contract tests of a training module: every parameter is trained, and a checkpoint alone rebuilds it.

    `make` returns one with small parts, and loss terms that train all of them.

    Example:
        >>> from zoo import create_model
        >>> backbone = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}
        >>> class TestSmallModel(ModuleContract):
        ...     def make(self): return create_model("bgmv2_mobilenetv2", backbone=backbone)
        ...     def data(self): raise NotImplementedError("a small MattingData")
        >>> TestSmallModel().test_every_parameter_has_one_learning_rate()
    """

    slot = "modules"

    @abstractmethod
    def data(self) -> DataModule:
        """Return a data module with a training set, a validation set and a test set, all small."""

    def train(self, seed: int = 0, *callbacks: Callback) -> tuple[TrainingModule, Trainer]:
        """Return the module after one epoch, and its trainer."""
        trainer = quiet_trainer(1, *callbacks)
        with run_seed(seed):
            module = self.make()
            trainer.fit(module, datamodule=self.data())
        return module, trainer

    def test_every_parameter_is_trained(self) -> None:
        coverage = GradientCoverage()
        self.train(0, coverage)
        lacking, not_finite = sorted(coverage.without), sorted(coverage.not_finite)
        assert not lacking, f"{self.name()} gives each parameter a gradient, as DDP needs it; {lacking} got none."
        assert not not_finite, f"{self.name()}'s gradients are finite; those of {not_finite} are not."

    def test_every_parameter_has_one_learning_rate(self) -> None:
        module = self.make()
        configured = module.configure_optimizers()
        optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
        trained = [id(value) for group in optimizer.param_groups for value in group["params"]]
        lacking = [name for name, value in module.network.named_parameters() if trained.count(id(value)) != 1]
        assert not lacking, f"{self.name()} trains each parameter of the network, once; not so {lacking}."

    def test_same_seed_same_weights_after_training(self) -> None:
        (one, _), (other, _) = self.train(seed=3), self.train(seed=3)
        again = other.state_dict()
        for name, value in one.state_dict().items():
            check_equal([value], [again[name]], f"{self.name()} trains to the same weights under one seed ({name})")

    def test_a_checkpoint_alone_rebuilds_it(self) -> None:
        module, trainer = self.train()
        with TemporaryDirectory(prefix="zoo-module-") as folder:
            path = Path(folder) / "last.ckpt"
            trainer.save_checkpoint(path)
            loaded = load(path)
        assert loaded.spec == module.spec, f"{self.name()} is rebuilt as it was; got {loaded.spec}."
        weights = loaded.state_dict()
        for name, value in module.state_dict().items():
            check_equal([value], [weights[name]], f"{self.name()} has its weights again ({name})")

    def test_logs_what_it_names_and_chooses_checkpoints_by(self) -> None:
        module, data = self.make(), self.data()
        logged: set[str] = set()
        for phase in ("validate", "test"):
            trainer = quiet_trainer(1)
            with run_seed(0):
                getattr(trainer, phase)(module, datamodule=data, verbose=False)
            logged |= set(trainer.callback_metrics)
        assert module.monitor in logged, (
            f"{self.name()} logs its monitor in validation, by which the best checkpoint is chosen; {module.monitor} "
            f"is none of {sorted(logged)}."
        )
        try:
            named = module.metric_names(data)
        except NotImplementedError:  # it cannot be studied, and reports that
            return
        assert named <= logged, f"{self.name()} logs every metric that it names; {sorted(named - logged)} were not."

    def test_computes_its_example(self) -> None:
        module = self.make().eval()
        try:
            inputs = module.example(*SIZE)
        except NotImplementedError:  # it cannot be studied, and reports that
            return
        with torch.no_grad():
            output, expected = module(*inputs), module.network(*inputs)
        assert len(inputs[0]) == 1, f"{self.name()}.example is a batch of one image; got {len(inputs[0])}."
        assert hasattr(output, "_asdict"), f"{self.name()} gives a NamedTuple; got {type(output).__name__}."
        for field, value in expected._asdict().items():
            if isinstance(value, torch.Tensor):
                promise = f"{self.name()} computes what its network does ({field})"
                check_equal([value], [getattr(output, field)], promise)
