"""Slots that every task fills: named models, training modules and data modules."""

from zoo.core.slot import Slot

SLOTS = [
    Slot("models", "model", None),
    Slot("modules", "module", "zoo.training.module:TrainingModule"),
    Slot("optimizers", "optimizer", "torch.optim:Optimizer"),
    Slot("data_modules", "data module", "zoo.training.data:DataModule"),
]
