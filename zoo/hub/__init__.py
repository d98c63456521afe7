"""Hub: the catalogue of weights and the files that it names; knows no checkpoint."""
