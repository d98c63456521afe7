"""Refiners: every path of `PatchRefiner` equals a plain reference; training always reaches every parameter."""

import copy
import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from zoo_plugins.refiners import NoRefiner, PatchRefiner

from zoo.matting.parts import Coarse, resize, select

Inputs = tuple[Tensor, Tensor, Coarse]


def made(kernel_size: int = 3, seed: int = 0) -> PatchRefiner:
    """A refiner in evaluation whose BatchNorms have statistics, in double precision so that equal means equal."""
    refiner = PatchRefiner(kernel_size)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in refiner.children():
            layer.reset_parameters()  # type: ignore[operator]
        for norm in (refiner.bn1, refiner.bn2, refiner.bn3):
            torch.nn.init.normal_(norm.running_mean, 0, 0.1)
            torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias, 0, 0.1)
    return refiner.double().eval()


def inputs(batch: int = 2, height: int = 16, width: int = 24, scale: float = 0.25, seed: int = 0) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    small = (int(height * scale), int(width * scale))

    def noise(channels: int, *size: int) -> Tensor:
        return torch.rand(batch, channels, *size, generator=generator, dtype=torch.float64)

    coarse = Coarse(noise(1, *small), noise(3, *small) - 0.5, noise(1, *small), noise(32, *small))
    return noise(3, height, width), noise(3, height, width), coarse


def uniform(batch: int, rows: int, columns: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, rows, columns, generator=generator, dtype=torch.float64)


def enlarged(source: Tensor, coarse: Coarse) -> Tensor:
    return resize(torch.cat([coarse.alpha, coarse.foreground], 1), (source.shape[-2], source.shape[-1]))


def chosen(score: Tensor, patches: int | None) -> list[tuple[int, int, int]]:
    """Image, row and column of each patch to refine, by sorting."""
    found = []
    for image in range(score.shape[0]):
        rows = score[image, 0].tolist()
        cells = [(value, row, column) for row, values in enumerate(rows) for column, value in enumerate(values)]
        best = sorted((cell for cell in cells if cell[0] > 0), reverse=True)
        found += [(image, row, column) for _, row, column in best[: len(best) if patches is None else patches]]
    return found


def reference(refiner: PatchRefiner, given: Inputs, score: Tensor, patches: int | None) -> Tensor:
    """The paper's refinement, one patch after the other."""
    source, background, coarse = given
    height, width = source.shape[-2:]
    half_size = (height // 2, width // 2)
    half_margin, full_margin = (3, 2) if refiner.conv1.kernel_size == (3, 3) else (0, 0)
    images = torch.cat([source, background], 1)
    features = torch.cat([coarse.hidden, coarse.alpha, coarse.foreground], 1)
    halves = torch.cat([resize(features, half_size), resize(images, half_size)], 1)
    halves, images = F.pad(halves, [half_margin] * 4), F.pad(images, [full_margin] * 4)
    result = enlarged(source, coarse).clone()
    for image, row, column in chosen(score, patches):
        side = 2 + 2 * half_margin
        x = halves[image : image + 1, :, 2 * row : 2 * row + side, 2 * column : 2 * column + side]
        x = F.relu(refiner.bn1(refiner.conv1(x)))
        x = F.relu(refiner.bn2(refiner.conv2(x)))
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        side = 4 + 2 * full_margin
        y = images[image : image + 1, :, 4 * row : 4 * row + side, 4 * column : 4 * column + side]
        x = F.relu(refiner.bn3(refiner.conv3(torch.cat([x, y], 1))))
        result[image : image + 1, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = refiner.conv4(x)
    return result


def on_path(
    name: str, refiner: PatchRefiner, given: Inputs, score: Tensor, patches: int | None
) -> tuple[Tensor, Tensor]:
    """What one path gives: alpha with foreground, and the refined patches."""
    source, background, coarse = given
    if name == "tiled":
        alpha, foreground, refined = refiner.tiled(*given, score, patches)
        assert foreground is not None
        return torch.cat([alpha, foreground], 1), refined
    images, halves = refiner._inputs(source, background, coarse)
    return getattr(refiner, name)(images, halves, score, patches, enlarged(source, coarse))


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125])
def test_every_path_equals_the_plain_reference(kernel_size: int, scale: float) -> None:
    draw = random.Random(f"{kernel_size} {scale}")
    for trial in range(6):
        refiner = made(kernel_size, trial)
        given = inputs(draw.randint(1, 3), 4 * draw.randint(2, 6), 4 * draw.randint(2, 6), scale, trial)
        rows, columns = given[0].shape[-2] // 4, given[0].shape[-1] // 4
        score = uniform(given[0].shape[0], rows, columns, seed=trial) - draw.choice([-1, 0.1, 0.5, 0.9])
        patches = draw.choice([None, 1, 3, rows * columns // 2, rows * columns])
        with torch.no_grad():
            expected = reference(refiner, given, score, patches)
            cells = torch.zeros_like(score)
            for image, row, column in chosen(score, patches):
                cells[image, 0, row, column] = 1
            for path in ("gathered", "static", "dense", "plain", "tiled"):
                result, refined = on_path(path, refiner, given, score, patches)
                assert (result - expected).abs().max() < 1e-12, path
                assert torch.equal(refined, cells), path
            alpha, foreground, refined = refiner(*given, score, patches)
        torch.testing.assert_close(torch.cat([alpha, foreground], 1), expected, rtol=0, atol=1e-12)
        assert torch.equal(refined, cells)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.06), (torch.float16, 0.008)], ids=str
)
def test_every_path_equals_the_plain_reference_in_every_precision(dtype: torch.dtype, tolerance: float) -> None:
    """On a grid of odd sides: one patch in a corner, some scattered, all, and no more than an image may have."""
    refiner = made().to(dtype)
    given = tuple(
        value.to(dtype) if isinstance(value, Tensor) else Coarse(*(each.to(dtype) for each in value))
        for value in inputs(3, 20, 28)
    )
    exact = tuple(
        value.double() if isinstance(value, Tensor) else Coarse(*(each.double() for each in value)) for value in given
    )
    corners = torch.zeros(3, 1, 5, 7)
    corners[0, 0, 0, 0] = corners[1, 0, 0, 6] = corners[2, 0, 4, 6] = 1
    ranks = uniform(3, 5, 7).flatten(1).argsort(1).argsort(1).view(3, 1, 5, 7)  # none alike in any precision
    for score, patches in ((corners, None), (ranks - 25, None), (ranks + 1, None), (ranks + 1, 9), (ranks + 1, 1)):
        score = score.to(dtype)
        with torch.no_grad():
            expected = reference(copy.deepcopy(refiner).double(), exact, score, patches)
            for path in ("gathered", "static", "dense", "plain", "tiled"):
                result, refined = on_path(path, refiner, given, score, patches)
                assert result.dtype == dtype, path
                assert (result - expected).abs().max() <= tolerance, path
                assert refined.sum() == len(chosen(score, patches)), path


def test_of_patches_that_score_alike_every_path_refines_the_same() -> None:
    refiner, given = made(), inputs(2, 36, 44)
    score = torch.ones(2, 1, 9, 11, dtype=torch.float64)
    score[:, :, 2] = 2
    with torch.no_grad():
        expected, cells = on_path("gathered", refiner, given, score, 20)
        assert cells.sum((1, 2, 3)).tolist() == [20, 20]
        for path in ("static", "dense", "plain", "tiled"):
            result, refined = on_path(path, refiner, given, score, 20)
            assert torch.equal(refined, cells), path
            torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("path", ["gathered", "static", "dense", "plain", "tiled"])
@pytest.mark.parametrize(("level", "patches"), [(0.0, None), (0.0, 5), (-1.0, 5), (1.0, 0)])
def test_without_a_selected_patch_the_coarse_result_is_enlarged(path: str, level: float, patches: int | None) -> None:
    given = inputs()
    score = torch.full((2, 1, 4, 6), level, dtype=torch.float64)
    with torch.no_grad():
        result, refined = on_path(path, made(), given, score, patches)
    torch.testing.assert_close(result, enlarged(given[0], given[2]), rtol=0, atol=1e-12)
    assert not refined.any()


def test_at_most_the_highest_patches_of_each_image_are_selected() -> None:
    score = torch.tensor([[[[0.1, 0.9], [0.5, -1.0]]], [[[-3.0, -2.0], [0.2, 0.0]]]])
    assert select(score, 2).int().tolist() == [[[[0, 1], [1, 0]]], [[[0, 0], [1, 0]]]]
    assert select(score, None).int().tolist() == [[[[1, 1], [1, 0]]], [[[0, 0], [1, 0]]]]
    assert not select(score, 0).any()


def test_the_coarse_result_is_left_as_it_was() -> None:
    given, score = inputs(scale=0.5), torch.ones(2, 1, 4, 6, dtype=torch.float64)
    before = [tensor.clone() for tensor in (*given[:2], *given[2])]
    for path in ("gathered", "static", "dense"):
        with torch.no_grad():
            on_path(path, made(), given, score, 7)
    assert all(torch.equal(old, new) for old, new in zip(before, (*given[:2], *given[2]), strict=True))


def watched(monkeypatch: pytest.MonkeyPatch, *paths: str) -> list[str]:
    """The names of the paths that are taken from now on."""
    taken: list[str] = []
    for path in paths:
        original = getattr(PatchRefiner, path)

        def spy(*arguments: Any, path: str = path, original: Any = original, **named: Any) -> Any:
            taken.append(path)
            return original(*arguments, **named)

        monkeypatch.setattr(PatchRefiner, path, spy)
    return taken


def test_with_gradients_evaluation_is_dense_only_for_dense_selections(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = watched(monkeypatch, "gathered", "dense", "tiled")
    refiner, given = made(), inputs(1, 40, 40)
    score = uniform(1, 10, 10) + 1
    for patches in (1, 20, 21, None):
        alpha, _, _ = refiner(*given, score, patches)
        assert alpha.requires_grad
    assert taken == ["gathered", "gathered", "dense", "dense"]


def test_without_gradients_evaluation_is_tiled(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = watched(monkeypatch, "gathered", "static", "dense", "tiled")
    refiner, given = made(), inputs(1, 40, 40)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            for patches in (1, None):
                refiner(*given, uniform(1, 10, 10), patches)
    assert taken == ["tiled"] * 4


def test_alpha_alone_is_the_same_alpha() -> None:
    refiner, given, score = made(), inputs(), uniform(2, 4, 6)
    alpha, _, refined = refiner(*given, score, 9)
    for context in (torch.no_grad(), torch.enable_grad()):
        with context:
            alone = refiner.alpha(*given, score, 9)
        torch.testing.assert_close(alone[0], alpha, rtol=0, atol=1e-12)
        assert torch.equal(alone[1], refined)


# Training


def trained(refiner: PatchRefiner, given: Inputs, score: Tensor, patches: int | None) -> Tensor:
    refiner.train().zero_grad()
    alpha, foreground, _ = refiner(*given, score, patches)
    result = torch.cat([alpha, foreground], 1)
    result.square().sum().backward()
    return result


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize(("level", "patches"), [(0.0, None), (0.0, 5), (-1.0, 24), (1.0, 0)])
def test_without_a_selected_patch_training_reaches_every_parameter_without_effect(
    kernel_size: int, level: float, patches: int | None
) -> None:
    refiner, given = made(kernel_size), inputs()
    result = trained(refiner, given, torch.full((2, 1, 4, 6), level, dtype=torch.float64), patches)
    assert torch.equal(result, enlarged(given[0], given[2]))
    for name, parameter in refiner.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


def test_a_patch_that_passes_without_effect_cannot_spoil_the_result() -> None:
    refiner, given = made(), inputs()
    torch.nn.init.constant_(refiner.conv4.bias, float("inf"))
    result = trained(refiner, given, torch.zeros(2, 1, 4, 6, dtype=torch.float64), 5)
    assert torch.equal(result, enlarged(given[0], given[2]))


@pytest.mark.parametrize("patches", [None, 5])
def test_selected_patches_train_every_parameter(patches: int | None) -> None:
    refiner, given = made(), inputs()
    score = torch.zeros(2, 1, 4, 6, dtype=torch.float64)
    score[1, 0, 2, 1:4] = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    result = trained(refiner, given, score, patches)
    assert all(parameter.grad.abs().sum() > 0 for parameter in refiner.parameters())
    changed = (result - enlarged(given[0], given[2])).abs().sum(1) > 0
    expected = torch.zeros(2, 16, 24, dtype=torch.bool)
    expected[1, 8:12, 4:16] = True
    assert torch.equal(changed, expected)


def running_mean(score: Tensor, patches: int | None) -> Tensor:
    refiner = made()
    trained(refiner, inputs(), score, patches)
    assert refiner.bn1.running_mean is not None
    return refiner.bn1.running_mean


def test_the_path_in_training_depends_on_the_configuration_never_on_the_select() -> None:
    few, all_cells = torch.zeros(2, 1, 4, 6, dtype=torch.float64), torch.ones(2, 1, 4, 6, dtype=torch.float64)
    few[..., 0, 0] = 1
    # Without a bound BatchNorm sees the whole picture, however few patches are selected; with one it sees patches,
    # however many.
    assert torch.equal(running_mean(few, None), running_mean(all_cells, None))
    assert not torch.allclose(running_mean(all_cells, 24), running_mean(all_cells, None))


def test_gathered_training_gives_each_batchnorm_the_selected_patches_only() -> None:
    refiner, given = made(1), inputs()
    score = torch.zeros(2, 1, 4, 6, dtype=torch.float64)
    score[:, 0, 1, 2] = 1
    before = refiner.bn1.running_mean.clone()
    with torch.no_grad():
        half = (8, 12)
        features = torch.cat([given[2].hidden, given[2].alpha, given[2].foreground], 1)
        x = refiner.conv1(torch.cat([resize(features, half), resize(torch.cat(given[:2], 1), half)], 1))
        mean = x[:, :, 2:4, 4:6].mean((0, 2, 3))
    trained(refiner, given, score, 5)
    torch.testing.assert_close(refiner.bn1.running_mean, 0.9 * before + 0.1 * mean)


def test_training_and_evaluation_work_under_autocast() -> None:
    source, background, coarse = (
        value.float() if isinstance(value, Tensor) else Coarse(*(tensor.bfloat16() for tensor in value))
        for value in inputs()
    )
    refiner = made().float()
    with torch.autocast("cpu", torch.bfloat16):
        for mode in (True, False):
            alpha, foreground, _ = refiner.train(mode)(source, background, coarse, uniform(2, 4, 6).float(), 9)
            assert alpha.isfinite().all()
            assert foreground.isfinite().all()
    refiner.train()
    with torch.autocast("cpu", torch.bfloat16):
        alpha, _, _ = refiner(source, background, coarse, uniform(2, 4, 6).float(), 9)
    alpha.float().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in refiner.parameters())


def test_another_kernel_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"PatchRefiner\(kernel_size=5\): expected 1 or 3\."):
        PatchRefiner(5)


# No refinement


def test_no_refiner_enlarges_bilinearly() -> None:
    source, background, coarse = inputs(height=18, width=23)
    alpha, foreground, refined = NoRefiner()(source, background, coarse, torch.zeros(2, 1, 5, 6), 0)
    torch.testing.assert_close(torch.cat([alpha, foreground], 1), enlarged(source, coarse))
    assert not refined.any()


def test_no_refiner_at_full_size_gives_the_coarse_result_itself() -> None:
    source, background, coarse = inputs(scale=1)
    alpha, foreground, _ = NoRefiner()(source, background, coarse, torch.zeros(2, 1, 4, 6), 0)
    assert torch.equal(alpha, coarse.alpha)
    assert torch.equal(foreground, coarse.foreground)
