"""What `look_with_torch` gives, in one kernel of Triton: nothing is made in between, nothing is read twice.

Only who wants it imports this module, since Triton is not everywhere: it comes with torch for CUDA on Linux.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime import JITFunction

from zoo.matting.parts import PATCH
from zoo_plugins.refinement.cells import Cells
from zoo_plugins.refinement.kernels import Kernels
from zoo_plugins.refinement.windows import Pictures

PIXELS = 64
"""How many pixels of half size a program of the kernel looks at; a tile of one patch is as many."""


def look_with_triton(given: Pictures, tiles: Cells, side: int, kernels: Kernels) -> tuple[Tensor, list[Tensor]]:
    """See `look_with_torch`; positions are whole numbers here, and weights and sums never of half precision."""
    source, background = given.source, given.background
    coarse = given.coarse.contiguous()
    full = PATCH // 2 * side + 2 * kernels.margin
    inner = full - 2 * kernels.trimmed
    features = coarse.new_empty(tiles.number, full, full, coarse.shape[3])
    fours = source.new_empty(tiles.number, inner, inner, 4 * 6)
    with torch.cuda.device_of(source):  # Triton would begin on the current one
        write_windows[(tiles.number, triton.cdiv(full**2, PIXELS))](
            source,
            background,
            coarse,
            torch.stack(tiles),
            features,
            fours,
            tiles.number,
            source.shape[2] // 2,
            source.shape[3] // 2,
            *coarse.shape[1:3],
            *source.stride(),
            *background.stride(),
            side=PATCH // 2 * side,
            margin=kernels.margin,
            trimmed=kernels.trimmed,
            channels=coarse.shape[3],
            breadth=triton.next_power_of_2(coarse.shape[3] - 6),
            pixels=PIXELS,
            precise=tl.float64 if coarse.dtype == torch.float64 else tl.float32,
            num_warps=8,  # with the usual 4 a thread needs twice the registers, as ptxas says
            enable_fp_fusion=True,  # said because Triton 3.9 warns where it is not
        )
    return features, [fours]


@triton.jit
def write_windows(
    source: tl.tensor,
    background: tl.tensor,
    coarse: tl.tensor,
    tiles: tl.tensor,
    features: tl.tensor,
    fours: tl.tensor,
    number: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    coarse_height: tl.tensor,
    coarse_width: tl.tensor,
    source_image: tl.tensor,
    source_colour: tl.tensor,
    source_row: tl.tensor,
    source_column: tl.tensor,
    background_image: tl.tensor,
    background_colour: tl.tensor,
    background_row: tl.tensor,
    background_column: tl.tensor,
    side: tl.constexpr,
    margin: tl.constexpr,
    trimmed: tl.constexpr,
    channels: tl.constexpr,
    breadth: tl.constexpr,
    pixels: tl.constexpr,
    precise: tl.constexpr,
) -> None:
    """Some pixels of one tile's window.

    Args:
        source, background: (B, 3, 2·height, 2·width), of the strides that follow.
        coarse: (B, coarse_height, coarse_width, channels), contiguous, of which all but the last six are read.
        tiles: (3, number), image, row and column.
        features, fours: where to write, contiguous: (number, s, s, channels), (number, s', s', 24).
        side, margin, trimmed: of a tile, in pixels of half size.
        breadth: a power of two, at least as many as the channels of coarse that are read.
        pixels: how many, a power of two.
        precise: the dtype to compute in.
    """
    full: tl.constexpr = side + 2 * margin
    inner: tl.constexpr = full - 2 * trimmed
    sampled: tl.constexpr = channels - 6

    # Where each pixel lies in its window, and in the picture. Only where an image or a tile begins may take more than
    # 32 bits to count.
    tile = tl.program_id(0).to(tl.int64)
    pixel = tl.program_id(1) * pixels + tl.arange(0, pixels)
    down, right = pixel // full, pixel % full
    image = tl.load(tiles + tile)
    row = tl.load(tiles + number + tile).to(tl.int32) * side - margin + down
    column = tl.load(tiles + 2 * number + tile).to(tl.int32) * side - margin + right
    wanted = pixel < full * full
    inside = wanted & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    features += ((tile * full * full + pixel) * channels)[:, None]

    # The coarse result between its pixels above and below, left and right of each place.
    above, below, low = neighbours(row, height, coarse_height, precise)
    before, behind, late = neighbours(column, width, coarse_width, precise)
    channel = tl.arange(0, breadth)[None, :]
    coarse += image * coarse_height * coarse_width * channels + channel
    seen = inside[:, None] & (channel < sampled)
    above_left = tl.load(coarse + ((above * coarse_width + before) * channels)[:, None], mask=seen, other=0)
    above_right = tl.load(coarse + ((above * coarse_width + behind) * channels)[:, None], mask=seen, other=0)
    below_left = tl.load(coarse + ((below * coarse_width + before) * channels)[:, None], mask=seen, other=0)
    below_right = tl.load(coarse + ((below * coarse_width + behind) * channels)[:, None], mask=seen, other=0)
    low, late = low[:, None], late[:, None]
    upper = above_left.to(precise) * (1 - late) + above_right.to(precise) * late
    lower = below_left.to(precise) * (1 - late) + below_right.to(precise) * late
    tl.store(features + channel, upper * (1 - low) + lower * low, mask=wanted[:, None] & (channel < sampled))

    # Both pictures: the four pixels of each, and their mean.
    colour = tl.arange(0, 8)[None, :]
    of_source = inside[:, None] & (colour < 3)
    of_background = inside[:, None] & (colour >= 3) & (colour < 6)
    source += image * source_image + colour * source_colour
    background += image * background_image + (colour - 3) * background_colour
    in_middle = (down >= trimmed) & (down < trimmed + inner) & (right >= trimmed) & (right < trimmed + inner)
    fours += ((tile * inner * inner + (down - trimmed) * inner + right - trimmed) * 24)[:, None] + colour
    total = tl.zeros((pixels, 8), precise)
    for lower_row in tl.static_range(2):
        for right_column in tl.static_range(2):
            y, x = (2 * row + lower_row)[:, None], (2 * column + right_column)[:, None]
            first = tl.load(source + y * source_row + x * source_column, mask=of_source, other=0)
            second = tl.load(background + y * background_row + x * background_column, mask=of_background, other=0)
            four = tl.where(colour < 3, first, second)
            total += four.to(precise)
            tl.store(fours + (2 * lower_row + right_column) * 6, four, mask=in_middle[:, None] & (colour < 6))
    tl.store(features + sampled + colour, total / 4, mask=wanted[:, None] & (colour < 6))


@triton.jit
def neighbours(
    place: tl.tensor, size: tl.tensor, coarse: tl.tensor, precise: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Which two of `coarse` pixels each place among `size` lies between, and how much of the second counts.

    As in `windows.neighbours`, in units of which a pixel has 2·size: so they can be counted. Beyond the last centre
    both are the last one.
    """
    position = tl.maximum((2 * place + 1) * coarse - size, 0)
    before = position // (2 * size)
    fraction = (position - 2 * size * before).to(precise) / (2 * size)
    return before, tl.minimum(before + 1, coarse - 1), fraction


DEVICES = ("cuda",) if isinstance(write_windows, JITFunction) else ("cuda", "cpu")
"""What pictures may lie on: under Triton's interpreter, TRITON_INTERPRET=1, also a CPU."""
