"""LightningModule and data module of all tasks, models by name, and export."""
