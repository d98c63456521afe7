"""One picture of a head: drawn, rendered and photographed, with all that is known of it.

Who it is, how the head is held, what it wears, light, background and camera have streams of their own, each from (seed,
split, index). The picture depends on nothing else.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.core.seeding import derive_seed
from zoo.heads.dad_format import Annotation
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.synthetic.backgrounds import draw_background
from zoo.heads.synthetic.bodies import body_pieces
from zoo.heads.synthetic.capture import capture
from zoo.heads.synthetic.hair import hair_pieces
from zoo.heads.synthetic.light import draw_light
from zoo.heads.synthetic.looks import Look, draw_look
from zoo.heads.synthetic.painting import hidden_share, look_at, paint
from zoo.heads.synthetic.pieces import Piece, Points, bounds, joined
from zoo.heads.synthetic.regions import Regions
from zoo.heads.synthetic.skin import head_piece
from zoo.heads.synthetic.views import Camera, Pose, draw_camera, draw_pose
from zoo.heads.synthetic.worn import Wearer, things

SHAPE_SPREAD, EXPRESSION_SPREAD, LIMIT = 0.8, 0.8, 2.0
"""Standard deviations of shape and expression parameters, and how far from 0 any may be."""
NEUTRAL = 0.25
"""Share of the heads without expression."""
OPEN, JAW = 0.6, 0.35
"""Share of the others with an open mouth, and the widest angle of the jaw in radians."""
HIDDEN = 0.02
"""Share of the head's visible side that things must hide for it to count as occluded."""

Streams = Callable[[str], np.random.Generator]


class SyntheticHead(NamedTuple):
    """A picture of a head and what is known of it."""

    image: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    annotation: Annotation
    """Vertices and matrices, as DAD-3DHeads has them."""
    neutral: Points
    """(V, 3) the same head without expression, its mouth closed."""
    box: Points
    """(4,) x, y, width, height of the subset `head` in pixels; may reach over the picture's edge."""
    attributes: dict[str, str]
    """As in DAD-3DHeads."""


def draw_head(head_model: HeadModel, regions: Regions, seed: int, split: str, index: int, size: int) -> SyntheticHead:
    """Picture number `index` of a split.

    Args:
        head_model: on the CPU.
        regions: of this head model.
        seed: another one gives other pictures.
        split: `train`, `validation` or `test`: they share no room and no photograph.
        index: number of the picture.
        size: side S of the picture in pixels.
    """

    def stream(purpose: str) -> np.random.Generator:
        return np.random.default_rng(derive_seed(seed, split, "head", index, purpose))

    vertices, neutral, expressive = draw_shape(stream("shape"), head_model)
    pose, look, light = draw_pose(stream("pose")), draw_look(stream("look")), draw_light(stream("light"))
    inside = head_model.subset("head").numpy()
    camera = draw_camera(stream("camera"), pose.matrix, vertices[inside], size)
    view = look_at(build_scene(stream, head_model, regions, look, pose, camera, vertices), camera, size)
    background = draw_background(stream("background"), seed, split, size) * np.float32(light.brightness)
    picture = paint(stream("texture"), view, regions, look, light, background)
    image, quality = capture(stream("capture"), picture)
    low, high = bounds(view.pixels[inside])
    attributes = {
        "quality": quality,
        "gender": "undefined",
        "expression": str(expressive),
        "age": "undefined",
        "occlusions": str(hidden_share(view, inside) > HIDDEN),
        "pose": pose.kind,
        "standard light": str(light.standard),
    }
    annotation = Annotation(vertices, camera.model_view, camera.projection(size))
    return SyntheticHead(image, annotation, neutral, np.append(low, high - low), attributes)


def stored(head: SyntheticHead) -> dict[str, np.ndarray]:
    """What took long to make of a picture, as arrays; `restored` makes the rest again."""
    known = json.dumps(head.attributes).encode()
    return {
        "image": head.image,
        "box": head.box,
        "model_view": head.annotation.model_view,
        "projection": head.annotation.projection,
        "attributes": np.frombuffer(known, np.uint8),
    }


def restored(arrays: dict[str, np.ndarray], head_model: HeadModel, seed: int, split: str, index: int) -> SyntheticHead:
    """The picture that `stored` was given, with the vertices drawn again."""
    shape = np.random.default_rng(derive_seed(seed, split, "head", index, "shape"))
    vertices, neutral, _ = draw_shape(shape, head_model)
    annotation = Annotation(vertices, arrays["model_view"], arrays["projection"])
    attributes = json.loads(arrays["attributes"].tobytes())
    return SyntheticHead(arrays["image"], annotation, neutral, arrays["box"], attributes)


def draw_shape(rng: np.random.Generator, head_model: HeadModel) -> tuple[Points, Points, bool]:
    """Vertices (V, 3) with and without expression, in the head frame, and whether there is one."""
    shapes, expressions = head_model.sizes
    params = torch.zeros(2, head_model.sizes.total)
    params[:, :shapes] = torch.from_numpy((SHAPE_SPREAD * rng.standard_normal(shapes)).clip(-LIMIT, LIMIT))
    expressive = rng.random() >= NEUTRAL
    if expressive:
        expression = (EXPRESSION_SPREAD * rng.standard_normal(expressions)).clip(-LIMIT, LIMIT)
        jaw = [JAW * rng.random() ** 2 if rng.random() < OPEN else 0.0, *rng.normal(0, 0.015, 2)]
        moved = np.append(expression, jaw)
        params[0, shapes : shapes + len(moved)] = torch.from_numpy(moved)
    with torch.inference_mode():
        both = head_model.vertices(HeadParams.from_vector(params, shapes, expressions), rotated=False).numpy()
    return both[0], both[1], expressive


def build_scene(
    stream: Streams,
    head_model: HeadModel,
    regions: Regions,
    look: Look,
    pose: Pose,
    camera: Camera,
    vertices: Points,
) -> Piece:
    """All that is in front of the background, in the picture frame; the head comes first."""
    landmarks = head_model.landmarks(torch.from_numpy(vertices)[None])[0].numpy()
    viewer = -camera.rotation.T @ camera.translation
    wearer = Wearer(regions, look, vertices, landmarks, viewer / np.linalg.norm(viewer))
    bodies = stream("body")
    body, neck = (
        camera.rotation.T @ pose.share(turned, bent).matrix
        for turned, bent in ((bodies.uniform(0.3, 0.8), 0.3), (0.9, 0.5))
    )
    scene = joined(
        [
            head_piece(stream("skin"), regions, look, vertices),
            *hair_pieces(stream("hair"), regions, look, vertices),
            *body_pieces(bodies, vertices[regions.rim], body, neck, look.skin),
            *things(stream("things"), wearer),
        ]
    )
    return scene._replace(points=camera.place(scene.points))
