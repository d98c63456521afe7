"""One image of a head: shape, pose and camera, the scene around it, rendered and captured.

Each purpose ("shape", "pose", "look", …) has its own random numbers from (seed, split, index); the image depends on
nothing else.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from zoo.core.seeding import derive_seed
from zoo.heads.dad_format import Annotation
from zoo.heads.mesh import HeadModel, HeadParams
from zoo_plugins.synthetic.drawing.backgrounds import generate_head_background
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.heads.cameras import Camera, Pose, capture, sample_camera, sample_pose
from zoo_plugins.synthetic.heads.looks import Look, hair_meshes, head_mesh, sample_look
from zoo_plugins.synthetic.heads.meshes import Mesh, Points, bounds, join_meshes
from zoo_plugins.synthetic.heads.regions import Regions
from zoo_plugins.synthetic.heads.rendering import occluded_fraction, rasterise_scene, render, sample_light
from zoo_plugins.synthetic.heads.worn import Wearer, body_meshes, worn_meshes

SHAPE_SPREAD, EXPRESSION_SPREAD, LIMIT = 0.8, 0.8, 2.0
"""Standard deviations of shape and expression parameters, and how far from 0 any may be."""
NEUTRAL_FRACTION = 0.25  # fraction of the heads without expression
OPEN_FRACTION, JAW = 0.6, 0.35  # fraction of the others with an open mouth, and the widest angle of the jaw in radians
OCCLUDED = 0.02  # fraction of the head's visible vertices that things must hide for the head to count as occluded

Generators = Callable[[str], Generator]


class SyntheticHead(NamedTuple):
    """An image of a head with its ground truth."""

    image: NDArray[np.uint8]  # (S, S, 3) RGB
    annotation: Annotation  # vertices and matrices, as DAD-3DHeads has them
    neutral: Points  # (V, 3) the same head without expression, its mouth closed
    box: Points  # (4,) x, y, width, height of the subset `head` in pixels; may reach over the image's edge
    attributes: dict[str, str]  # as in DAD-3DHeads


class Diversity(NamedTuple):
    """How different heads are; the defaults are the dataset's own, and each number scales one of its distributions."""

    yaw: float = 100.0  # degrees, about the widest
    pitch: float = 60.0
    roll: float = 75.0
    expression: float = 1.0  # factor of the expression parameters and of the jaw's angles; 0: all neutral
    occlusion: float = 1.0  # factor of each occluder's probability; 0: none


class PlacedHead(NamedTuple):
    """A head in front of a camera, before anything is rendered."""

    annotation: Annotation
    neutral: Points
    expressive: bool
    pose: Pose
    camera: Camera


def generate_head(
    head_model: HeadModel,
    regions: Regions,
    seed: int,
    split: str,
    index: int,
    size: int,
    diversity: Diversity = Diversity(),  # noqa: B008
) -> SyntheticHead:
    """Return image number `index` of a split, `size` pixels high and wide; the head model is on the CPU."""
    generators = _generators(seed, split, index)
    placed = place_head(head_model, seed, split, index, size, diversity)
    look, light = sample_look(generators("look")), sample_light(generators("light"))
    inside = head_model.subset("head").numpy()
    scene = build_scene(generators, head_model, regions, look, placed, diversity.occlusion)
    view = rasterise_scene(scene, placed.camera, size)
    background = generate_head_background(generators("background"), seed, Photographs(split), size)
    background *= np.float32(light.brightness)
    rendered = render(generators("texture"), view, regions, look, light, background)
    image, quality = capture(generators("capture"), rendered)
    low, high = bounds(view.pixels[inside])
    attributes = {
        "quality": quality,
        "gender": "undefined",
        "expression": str(placed.expressive),
        "age": "undefined",
        "occlusions": str(occluded_fraction(view, inside) > OCCLUDED),
        "pose": placed.pose.kind,
        "standard light": str(light.standard),
    }
    return SyntheticHead(image, placed.annotation, placed.neutral, np.append(low, high - low), attributes)


def place_head(
    head_model: HeadModel,
    seed: int,
    split: str,
    index: int,
    size: int,
    diversity: Diversity = Diversity(),  # noqa: B008
) -> PlacedHead:
    """Sample shape, pose and camera of image number `index`."""
    generators = _generators(seed, split, index)
    vertices, neutral, expressive = sample_shape(generators("shape"), head_model, diversity.expression)
    widest = Diversity()
    pose = sample_pose(generators("pose"))
    pose = Pose(
        pose.pitch * (diversity.pitch / widest.pitch),
        pose.yaw * (diversity.yaw / widest.yaw),
        pose.roll * (diversity.roll / widest.roll),
    )
    head = vertices[head_model.subset("head").numpy()]
    camera = sample_camera(generators("camera"), pose.matrix, head, size)
    annotation = Annotation(vertices, camera.model_view, camera.projection(size))
    return PlacedHead(annotation, neutral, expressive, pose, camera)


def sample_shape(rng: Generator, head_model: HeadModel, strength: float = 1.0) -> tuple[Points, Points, bool]:
    """Sample vertices (V, 3) with and without expression, in the head frame, and whether there is an expression.

    `strength` multiplies the expression.
    """
    shapes, expressions = head_model.sizes
    params = torch.zeros(2, head_model.sizes.total)
    params[:, :shapes] = torch.from_numpy((SHAPE_SPREAD * rng.standard_normal(shapes)).clip(-LIMIT, LIMIT))
    expressive = rng.random() >= NEUTRAL_FRACTION and strength > 0
    if expressive:
        expression = (EXPRESSION_SPREAD * rng.standard_normal(expressions)).clip(-LIMIT, LIMIT)
        jaw = [JAW * rng.random() ** 2 if rng.random() < OPEN_FRACTION else 0.0, *rng.normal(0, 0.015, 2)]
        moved = strength * np.append(expression, jaw)
        params[0, shapes : shapes + len(moved)] = torch.from_numpy(moved)
    with torch.inference_mode():
        both = head_model.vertices(HeadParams.from_vector(params, shapes, expressions), rotated=False).numpy()
    return both[0], both[1], expressive


def build_scene(
    generators: Generators,
    head_model: HeadModel,
    regions: Regions,
    look: Look,
    placed: PlacedHead,
    occlusion: float = 1.0,
) -> Mesh:
    """Return everything in front of the background as one mesh in the picture frame; the head comes first."""
    pose, camera, vertices = placed.pose, placed.camera, placed.annotation.vertices
    landmarks = head_model.landmarks(torch.from_numpy(vertices)[None])[0].numpy()
    viewer = -camera.rotation.T @ camera.translation
    wearer = Wearer(regions, look, vertices, landmarks, viewer / np.linalg.norm(viewer))
    bodies = generators("body")
    body = camera.rotation.T @ pose.scaled(bodies.uniform(0.3, 0.8), 0.3).matrix
    neck = camera.rotation.T @ pose.scaled(0.9, 0.5).matrix
    meshes = [head_mesh(generators("skin"), regions, look, vertices)]
    meshes += hair_meshes(generators("hair"), regions, look, vertices)
    meshes += body_meshes(bodies, vertices[regions.rim], body, neck, look.skin)
    meshes += worn_meshes(generators("things"), wearer, occlusion)
    scene = join_meshes(meshes)
    return scene._replace(points=camera.to_picture_frame(scene.points))


def _generators(seed: int, split: str, index: int) -> Generators:
    return lambda purpose: np.random.default_rng(derive_seed(seed, split, "head", index, purpose))
