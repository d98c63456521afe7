"""Parts for the Ablation Zoo, in a distribution of their own."""
