"""The contract of training modules."""

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
"""Height and width of the pictures that it is tried on."""


class Gradients(Callback):
    """Looks at the gradients of each step: which parameters ever were `lacking` one, or had an `unfit` one."""

    def __init__(self) -> None:
        self.lacking: set[str] = set()
        self.unfit: set[str] = set()

    def on_after_backward(self, trainer: Trainer, module: LightningModule) -> None:
        network: Any = module.network
        for name, value in network.named_parameters():
            if value.requires_grad and value.grad is None:
                self.lacking.add(name)
            elif value.grad is not None and not value.grad.isfinite().all():
                self.unfit.add(name)


class ModuleContract(PartContract):
    """What a training module promises: everything is trained, and a checkpoint alone brings it back.

    Make one with small parts and loss terms that train all of them.
    """

    slot = "modules"

    @abstractmethod
    def data(self) -> DataModule:
        """What it is trained and measured on: a training set, a validation set and a test set, all small."""

    def trained(self, seed: int = 0, *callbacks: Callback) -> tuple[TrainingModule, Trainer]:
        """The module after an epoch, and its trainer."""
        trainer = quiet_trainer(1, *callbacks)
        with run_seed(seed):
            module = self.make()
            trainer.fit(module, datamodule=self.data())
        return module, trainer

    def test_every_parameter_is_trained(self) -> None:
        seen = Gradients()
        self.trained(0, seen)
        lacking, unfit = sorted(seen.lacking), sorted(seen.unfit)
        assert not lacking, f"{self.name()} gives each parameter a gradient, as DDP needs it; {lacking} got none."
        assert not unfit, f"{self.name()}'s gradients are finite; those of {unfit} are not."

    def test_every_parameter_has_one_learning_rate(self) -> None:
        module = self.make()
        made = module.configure_optimizers()
        optimizer = made["optimizer"] if isinstance(made, dict) else made
        given = [id(value) for group in optimizer.param_groups for value in group["params"]]
        wanted = {id(value): name for name, value in module.network.named_parameters()}
        lacking = [name for key, name in wanted.items() if given.count(key) != 1]
        assert not lacking, f"{self.name()} trains each parameter of the network, once; not so {lacking}."

    def test_same_seed_same_weights_after_training(self) -> None:
        (one, _), (other, _) = self.trained(seed=3), self.trained(seed=3)
        again = other.state_dict()
        for name, value in one.state_dict().items():
            check_equal([value], [again[name]], f"{self.name()} trains to the same weights under one seed ({name})")

    def test_a_checkpoint_alone_rebuilds_it(self) -> None:
        module, trainer = self.trained()
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
        for what in ("validate", "test"):
            trainer = quiet_trainer(1)
            with run_seed(0):
                getattr(trainer, what)(module, datamodule=data, verbose=False)
            logged |= set(trainer.callback_metrics)
        assert module.monitor in logged, (
            f"{self.name()} logs its monitor in validation, by which the best checkpoint is chosen; {module.monitor} "
            f"is none of {sorted(logged)}."
        )
        try:
            named = module.metric_names(data)
        except NotImplementedError:  # it cannot be studied, and says so
            return
        assert named <= logged, f"{self.name()} logs every metric that it names; {sorted(named - logged)} were not."

    def test_computes_its_example(self) -> None:
        module = self.make().eval()
        try:
            given = module.example(*SIZE)
        except NotImplementedError:  # it cannot be studied, and says so
            return
        with torch.no_grad():
            output, expected = module(*given), module.network(*given)
        assert len(given[0]) == 1, f"{self.name()}.example is a batch of one picture; got {len(given[0])}."
        assert hasattr(output, "_asdict"), f"{self.name()} gives a NamedTuple; got {type(output).__name__}."
        for field, value in expected._asdict().items():
            if isinstance(value, torch.Tensor):
                promise = f"{self.name()} computes what its network does ({field})"
                check_equal([value], [getattr(output, field)], promise)
