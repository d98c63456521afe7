"""What `PatchRefiner` is made of: patches as lists, the tiles that are computed at once, what these see."""
