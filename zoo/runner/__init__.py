"""What LightningCLI needs: configurations, arguments, errors, run directories."""
