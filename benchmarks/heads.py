"""Cases of 3D heads: skinning, rendering, landmarks and heatmaps, and the most expensive metrics."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.heads_references import (
    PlainSkinning,
    chamfer_over_all_pairs,
    heatmaps_one_by_one,
    landmarks_by_file,
    now_error_by_least_squares,
    write_landmark_tables,
    zn_accuracy_pair_by_pair,
)
from zoo.core.registry import get_slot
from zoo.core.seeding import derive_seed
from zoo.heads.asset import LANDMARKS
from zoo.heads.data import EvaluationCrops, HeadEvaluationSet
from zoo.heads.mesh import POSE_SIZE, HeadModel, HeadParams
from zoo.heads.metrics import chamfer_to_ground_truth, now_error, seven_points, zn_accuracy
from zoo.heads.metrics.now import crop, synthetic_scan
from zoo.heads.metrics.shape import DepthOrder
from zoo.heads.parts import heatmap_targets
from zoo.heads.render import rasterise
from zoo.heads.rotation import matrix_from_euler, matrix_to_6d
from zoo.measure.timing import threads

NEIGHBOURS = 5


class Extent(NamedTuple):
    """Sizes of all cases.

    Args:
        batch: heads.
        picture: side of images in pixels.
        pictures: images rendered in one call.
        compared: largest number of vertices in pairwise metrics.
        scan: points of a scan.
    """

    batch: int
    picture: int
    pictures: int
    compared: int
    scan: int


FULL = Extent(batch=64, picture=256, pictures=16, compared=10_000, scan=100_000)
QUICK = Extent(batch=2, picture=64, pictures=1, compared=200, scan=1_000)


def cases(quick: bool = False) -> Iterator[Case]:
    """Yield every case; `quick` makes them small and without targets, to see that they run."""
    for case in all_cases(QUICK if quick else FULL):
        yield replace(case, faster=None, within=None) if quick else case


def all_cases(extent: Extent) -> Iterator[Case]:
    """Yield every case of this size."""
    procedural, realistic = HeadModel.load("procedural"), HeadModel.load("open")
    yield from skinning(procedural, extent)
    yield from skinning(realistic, extent)
    yield from rendering(realistic, extent)
    yield from landmarks(procedural, extent)
    yield from depth_order(procedural, extent)
    yield from surfaces(procedural, extent)


def skinning(head: HeadModel, extent: Extent) -> Iterator[Case]:
    """Yield skinning: from parameters to vertices, and back to the gradient of the parameters."""
    vector = random_params(head, extent.batch)
    plain = PlainSkinning(head.asset())
    setting = f"{head.name}, batch {extent.batch}"

    def forward(vertices: Callable[[HeadParams], Tensor]) -> Tensor:
        with torch.no_grad():
            return vertices(head.split(vector))

    def both_ways(vertices: Callable[[HeadParams], Tensor]) -> tuple[Tensor, ...]:
        params = vector.clone().requires_grad_()
        mesh = vertices(head.split(params))
        return mesh, *torch.autograd.grad(mesh.square().sum(), params)

    fast = partial(head.vertices, rotated=False)
    yield Case("skinning", setting, partial(forward, fast), partial(forward, plain), tolerance=1e-6, faster=2)
    # The gradient of the jaw sums terms over all vertices that nearly cancel, in a different order in each path.
    there_and_back = partial(both_ways, fast), partial(both_ways, plain)
    yield Case("skinning with gradient", setting, *there_and_back, tolerance=1e-4, faster=2)


def rendering(head: HeadModel, extent: Extent) -> Iterator[Case]:
    """Yield the rasteriser and whole synthetic images."""
    size = extent.picture
    vector = random_params(head, 1)
    points = torch.cat([head.project(vector, size), head.vertices(vector)[..., 2:]], dim=2)[0].numpy()
    render = partial(rasterise, points, head.faces.numpy(), size, size)
    plain = partial(render, engine="numpy")
    yield Case("rasteriser", f"{head.name}, {size}²", partial(render, engine="numba"), plain)

    dataset = get_slot("datasets").get("SyntheticHeads")(count=10 * extent.pictures, size=size)
    dataset.build(head)
    crops = EvaluationCrops(HeadEvaluationSet(dataset), head, size)
    for name, picture, within in (
        ("SyntheticHeads picture", lambda index: dataset.picture(index).image, 0.01),
        ("SyntheticHeads picture and crop", lambda index: crops[index].image, None),
    ):
        several = partial(some_pictures, picture, extent.pictures)
        yield Case(name, f"{head.name}, {size}², one thread", several, count=extent.pictures, within=within)


def landmarks(head: HeadModel, extent: Extent) -> Iterator[Case]:
    """Yield the 68 landmarks of a mesh, and heatmaps of landmarks."""
    mesh = head.vertices(random_params(head, 1))
    with tempfile.TemporaryDirectory() as folder:
        tables = Path(folder) / "landmarks.npz"
        write_landmark_tables(head.asset(), tables)
        yield Case(
            "68 landmarks",
            f"{head.name}, one mesh",
            lambda: head.landmarks(mesh)[0],
            lambda: landmarks_by_file(mesh[0], tables),
            tolerance=1e-6,
        )
    positions = torch.from_numpy(generator("landmarks").random((extent.batch, LANDMARKS, 2), np.float32))
    visible = (positions > 0.05).all(2).float()
    inputs = (positions, visible, extent.picture // 4)
    yield Case(
        "heatmap targets",
        f"{extent.picture // 4}², batch {extent.batch}",
        partial(heatmap_targets, *inputs),
        partial(heatmaps_one_by_one, *inputs),
        tolerance=1e-6,
    )


def depth_order(head: HeadModel, extent: Extent) -> Iterator[Case]:
    """Yield Z_n of both kinds, on the subset that DAD-3DHeads measures."""
    predicted, target = (mesh[head.subset("head")[: extent.compared]] for mesh in two_meshes(head))
    targets: dict[DepthOrder, float | None] = {"official": 300, "paper": None}
    axes: dict[DepthOrder, Literal[0, 1]] = {"official": 0, "paper": 1}
    for kind in reversed(get_args(DepthOrder)):
        yield Case(
            f"Z{NEIGHBOURS} ({kind})",
            f"{len(target):,} vertices",
            partial(zn_accuracy, predicted, target, NEIGHBOURS, kind),
            partial(zn_accuracy_pair_by_pair, predicted, target, NEIGHBOURS, axes[kind]),
            tolerance=1e-12,
            faster=targets[kind],
        )


def surfaces(head: HeadModel, extent: Extent) -> Iterator[Case]:
    """Yield distances between a mesh and ground truth: to its vertices (Chamfer), from a scan to its surface (NoW)."""
    predicted, target = two_meshes(head)
    points7, true_points7 = (seven_points(head.landmarks(mesh[None])[0]) for mesh in (predicted, target))
    face = target[head.subset("face")[: extent.compared]]
    yield Case(
        "Chamfer",
        f"{len(face):,} to {len(predicted):,} vertices",
        partial(chamfer_to_ground_truth, predicted, face, points7, true_points7),
        partial(chamfer_over_all_pairs, predicted, face, points7, true_points7),
        tolerance=1e-9,
    )
    scan = scan_of_the_face(head, 1000 * target, 1000 * true_points7, extent.scan)
    inputs = (scan, predicted, head.faces, 1000 * true_points7, points7)
    yield Case(
        "NoW",
        f"scan of {len(scan):,} points",
        partial(now_error, *inputs),
        partial(now_error_by_least_squares, *inputs),
        tolerance=1e-3,  # millimetres; both optimisers stop near the minimum, not at the same point
        within=3,
    )


def random_params(head: HeadModel, count: int) -> Tensor:
    """Return random heads that look roughly ahead and fill most of the image: (count, sizes.total)."""
    rng = generator(head.name, "params")
    shape, expression = head.sizes
    numbers = [
        rng.normal(0, 0.8, (count, shape + expression)),
        rng.normal(0, 0.1, (count, 3)),
        matrix_to_6d(matrix_from_euler(torch.from_numpy(rng.uniform(-30, 30, (count, 3))))).numpy(),
        np.zeros((count, 3)),
        np.full((count, 1), 5.0),
    ]
    return torch.from_numpy(np.concatenate(numbers, axis=1)).float()


def two_meshes(head: HeadModel) -> tuple[Tensor, Tensor]:
    """Return a prediction and ground truth in double precision, (V, 3) each in metres, with equal rotation."""
    vector = random_params(head, 2)
    vector[1, -POSE_SIZE:] = vector[0, -POSE_SIZE:]
    predicted, target = head.vertices(vector).double()
    return predicted, target


def scan_of_the_face(head: HeadModel, vertices: Tensor, points7: Tensor, count: int) -> Tensor:
    """Return points on the triangles that the protocol keeps, (count, 3); vertices (V, 3), seven points in mm."""
    kept = {tuple(vertex) for vertex in crop(vertices.numpy(), points7.numpy()).tolist()}
    inside = torch.tensor([tuple(vertex) in kept for vertex in vertices.tolist()])
    return synthetic_scan(vertices, head.faces[inside[head.faces].all(1)], count)


def some_pictures(picture: Callable[[int], Tensor], count: int) -> tuple[Tensor, ...]:
    """Return the first images of a dataset, computed by one thread."""
    with threads(1):
        return tuple(picture(index) for index in range(count))


def generator(*purpose: str) -> np.random.Generator:
    """Return a generator with a seed of its own for each purpose."""
    return np.random.default_rng(derive_seed("zoo bench heads", *purpose))
