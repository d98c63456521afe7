"""What every task shares: slots and their plugins, specs, seeds, checkpoints, training and the command line."""
