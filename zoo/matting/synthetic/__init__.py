"""Synthetic mattes: drawn subjects whose alpha is exact because it is drawn too, and backgrounds to set them in.

`mattes` draws a subject: a person (`people`, made of `bodies`, `faces` and `hair`) or a thing (`things`), dressed
in `cloth`. Shapes are put on a `canvas`, which gives premultiplied `layers`; `optics` blurs these. `backgrounds`
draws `rooms` (with `furniture`) or takes pieces of `photographs`. `cache` keeps pictures on disk, `write` writes
them as a dataset. Everything follows from (seed, split, index).
"""

from zoo.matting.synthetic.backgrounds import draw_background
from zoo.matting.synthetic.mattes import MatteOptions, draw_matte
from zoo.matting.synthetic.write import write_dataset

__all__ = ["MatteOptions", "draw_background", "draw_matte", "write_dataset"]
