"""The LightningModule and data module that all tasks share, and building models by name."""
