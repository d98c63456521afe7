"""The official augmentation of background matting as parts: geometry, blur, colour, shadows, and what cameras do.

Every step works on the whole batch, on its device, changes only the samples that it chose, and is switched off by
`probability: 0`. Defaults are the official code's; where the paper says otherwise, the docstring gives the paper's
value.
"""
