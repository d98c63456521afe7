"""Ground of the package: slots and plugins, specs, seeds, errors, files. It knows no task and no training."""
