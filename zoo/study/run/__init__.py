"""From a plan to results: runs carried out, W&B, timing."""
