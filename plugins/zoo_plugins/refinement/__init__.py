"""The fast path of `PatchRefiner`: `gather` reads tiles of patches with a halo, `tiled` convolves them."""
