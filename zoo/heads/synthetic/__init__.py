"""Synthetic heads: rendered pictures of any head model, whose ground truth is exact because it made them.

`regions` finds hair, brows, lips and the like on a head model, once. For each picture, `views` draws a pose and a
pinhole camera, `looks` a person; `skin`, `hair`, `bodies` and `worn` make the `pieces` of the scene, `light` and
`backgrounds` what is around it; `heads` puts it together, `painting` renders and `capture` photographs it. `write`
writes the format of DAD-3DHeads. Everything follows from (seed, split, index).
"""

from zoo.heads.synthetic.heads import SyntheticHead, draw_head, restored, stored
from zoo.heads.synthetic.regions import Regions, find_regions
from zoo.heads.synthetic.write import FOLDERS, head_name, write_heads

__all__ = [
    "FOLDERS",
    "Regions",
    "SyntheticHead",
    "draw_head",
    "find_regions",
    "head_name",
    "restored",
    "stored",
    "write_heads",
]
