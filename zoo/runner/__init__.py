"""LightningCLI of the zoo: configurations, arguments, errors, run directories."""
