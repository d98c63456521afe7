"""Same seed, same draws; and one part's draws do not depend on another part."""

import random

import numpy as np
import pytest
import torch

import zoo
from zoo.core.seeding import RandomStream, derive_seed, random_stream, run_seed


def test_a_derived_seed_is_the_same_everywhere() -> None:
    # These two values are part of every published result: if they change, so does every run.
    assert derive_seed(0, "PatchRefiner") == 3019640121910780103
    assert derive_seed(7, "sample", 3, 41) == 7986156487629535855


def test_a_derived_seed_fits_where_seeds_go() -> None:
    for key in range(200):
        assert 0 <= derive_seed(key) < 2**63
        torch.Generator().manual_seed(derive_seed(key))


def test_keys_are_told_apart() -> None:
    seeds = [derive_seed(*keys) for keys in [(1,), ("1",), (1, 2), (12,), ("1", 2), (2, 1), ("a", "b"), ("ab",), ()]]
    assert len(set(seeds)) == len(seeds)


def test_a_stream_leaves_the_surrounding_generators_as_they_were() -> None:
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    with random_stream(1, "noise"):
        torch.rand(10)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()


def test_a_stream_leaves_the_surroundings_as_they_were_after_an_error_too() -> None:
    def draw_and_fail() -> None:
        with random_stream(1):
            torch.rand(1)
            raise ZeroDivisionError

    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        draw_and_fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stream_depends_on_its_keys_alone() -> None:
    def draw(*keys: int | str) -> torch.Tensor:
        with random_stream(*keys):
            return torch.rand(4)

    torch.manual_seed(1)
    first = draw(3, "refiner")
    torch.manual_seed(2)
    torch.rand(100)
    assert torch.equal(draw(3, "refiner"), first)
    assert not torch.equal(draw(4, "refiner"), first)
    assert not torch.equal(draw(3, "decoder"), first)


def test_streams_inside_one_another_do_not_mix() -> None:
    with random_stream(1):
        torch.rand(2)
        expected = torch.rand(2)
    with random_stream(1):
        torch.rand(2)
        with random_stream(2):
            torch.rand(50)
        assert torch.equal(torch.rand(2), expected)


def test_the_run_s_seed_is_what_seed_everything_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "41")
    assert run_seed() == 41
    monkeypatch.delenv("PL_GLOBAL_SEED")
    torch.manual_seed(17)
    assert run_seed() == 17


class TestDraws:
    def test_a_sample_s_draws_do_not_depend_on_its_batch(self) -> None:
        together, alone = RandomStream([11, 12, 13], "noise"), RandomStream([12], "noise")
        assert torch.equal(together.uniform()[1:2], alone.uniform())
        assert torch.equal(together.normal(2, 3)[1:2], alone.normal(2, 3))
        assert torch.equal(together.integers(0, 1000)[1:2], alone.integers(0, 1000))
        assert torch.equal(together.chance(0.5)[1:2], alone.chance(0.5))

    def test_another_purpose_gives_other_draws(self) -> None:
        assert not torch.equal(RandomStream([1, 2], "noise").uniform(), RandomStream([1, 2], "blur").uniform())

    def test_the_global_generator_plays_no_part(self) -> None:
        torch.manual_seed(0)
        first = RandomStream([1], "noise").uniform()
        before = torch.get_rng_state()
        assert torch.equal(RandomStream(torch.tensor([1]), "noise").uniform(), first)
        assert torch.equal(torch.get_rng_state(), before)

    def test_shapes_and_ranges(self) -> None:
        draws = RandomStream(list(range(500)), "noise")
        assert len(draws) == 500
        assert draws.uniform(-2, 3).shape == (500,)
        values = draws.uniform(-2, 3)
        assert values.min() >= -2
        assert values.max() < 3
        assert values.mean() == pytest.approx(0.5, abs=0.3)
        assert set(draws.integers(4, 7).tolist()) == {4, 5, 6}
        assert draws.normal(2, 3).shape == (500, 2, 3)
        assert draws.chance(0.2).float().mean() == pytest.approx(0.2, abs=0.08)
        assert not draws.chance(0.0).any()
        assert draws.chance(1.0).all()


def initial(monkeypatch: pytest.MonkeyPatch, seed: int = 3, **replacements: object) -> dict[str, torch.Tensor]:
    """The initial weights of a matting network."""
    monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
    small = {"backbone": {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}}
    return zoo.create_model("bgmv2_mobilenetv2", **{**small, **replacements}).network.state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], part: str) -> bool:
    keys = [
        key for key in first if key.startswith(f"{part}.") and first[key].is_floating_point() and first[key].std() > 0
    ]
    assert keys, part
    return all(
        first[key].shape == second[key].shape and torch.equal(first[key], second[key]) for key in keys if key in second
    )


def timm_backbone(name: str) -> dict[str, object]:
    return {"class_path": "TimmBackbone", "init_args": {"name": name}}


def test_another_backbone_leaves_the_initial_weights_of_the_other_parts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shallow = initial(monkeypatch, backbone=timm_backbone("resnet10t"))
    deep = initial(monkeypatch, backbone=timm_backbone("resnet18"))  # with the same number of channels at each stride
    assert len(deep) > len(shallow)
    for part in ("aspp", "decoder", "refiner"):
        assert same(shallow, deep, part)
    assert same(shallow, initial(monkeypatch), "refiner")


def test_another_refiner_leaves_the_initial_weights_of_the_other_parts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = initial(monkeypatch)
    smaller_kernel = initial(monkeypatch, refiner={"class_path": "PatchRefiner", "init_args": {"kernel_size": 1}})
    for part in ("backbone", "aspp", "decoder"):
        assert same(reference, smaller_kernel, part)


def test_initial_weights_do_not_depend_on_what_was_drawn_before(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = initial(monkeypatch)
    torch.rand(1234)
    assert all(torch.equal(value, reference[key]) for key, value in initial(monkeypatch).items())


def test_another_seed_gives_other_initial_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, other = initial(monkeypatch), initial(monkeypatch, seed=4)
    for part in ("backbone", "aspp", "decoder", "refiner"):
        assert not same(reference, other, part)


def test_inside_a_stream_the_run_keeps_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    torch.manual_seed(11)
    with random_stream(run_seed(), "outer"), random_stream(run_seed(), "inner"):
        assert run_seed() == 11
        inside = torch.rand(3)
    with random_stream(11, "inner"):
        assert torch.equal(torch.rand(3), inside)
    assert run_seed() == 11


def test_some_samples_draw_what_they_draw_among_all() -> None:
    chosen = torch.tensor([True, False, True])
    draws, again = RandomStream([5, 6, 7], "noise"), RandomStream([5, 6, 7], "noise")
    draws.uniform()
    again.uniform()
    assert len(draws[chosen]) == 2
    assert torch.equal(draws[chosen].normal(3, 2), again.normal(3, 2)[chosen])
