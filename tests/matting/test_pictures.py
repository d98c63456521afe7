"""Contact sheets: a row a sample, whatever the samples' shapes."""

import torch

from zoo.matting.parts import MattingBatch, MattingOutput
from zoo.matting.pictures import COLUMNS, sheet


def sample(height: int, width: int) -> tuple[MattingBatch, MattingOutput]:
    picture, alpha = torch.rand(1, 3, height, width), torch.rand(1, 1, height, width)
    refined = torch.ones(1, 1, -(-height // 4), -(-width // 4))
    return MattingBatch(picture, picture, alpha, picture), MattingOutput(alpha, picture, alpha, picture, alpha, refined)


def test_columns_are_as_wide_as_the_widest_row() -> None:
    portrait_and_landscape = sheet([sample(80, 40), sample(40, 80)], side=60)
    assert portrait_and_landscape.width == len(COLUMNS) * (60 + 2)
    assert portrait_and_landscape.height == 16 + (60 + 2) + (30 + 2)
    assert sheet([sample(40, 80)], side=60).width == portrait_and_landscape.width
