"""Contracts of loss terms, one for each task."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from zoo.core.parts import LossTerm
from zoo.core.registry import get_slot
from zoo.heads.mesh import HeadModel
from zoo.heads.parts import LANDMARKS, HeadBatch, HeadLoss, HeadOutput
from zoo.heads.rotation import matrix_from_euler
from zoo.matting.parts import PATCH, MattingBatch, MattingOutput
from zoo.testing.networks import check_equal
from zoo.testing.parts import PartContract, run_seed

Fields = dict[str, Any]


class LossContract(PartContract):
    """Contract tests of a loss term: a scalar that depends only on the declared fields, with finite gradients."""

    slot = "losses"
    output_type: type
    batch_type: type

    @abstractmethod
    def random_fields(self, size: tuple[int, int], count: int = 2) -> tuple[Fields, Fields]:
        """Return all fields of a plausible network output and of its batch, for `count` images of `size`."""

    @property
    @abstractmethod
    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths of the test images."""

    def build(self, term: Any) -> None:
        """Prepare the term as the training module does before the first call."""

    def prepare(self) -> LossTerm:
        """Return the term, ready to be called."""
        with run_seed(0):
            term = self.make()
            self.build(term)
        return term.double()

    def value(self, term: LossTerm, output: Mapping[str, Any], batch: Mapping[str, Any]) -> Tensor:
        """Return the value of the term."""
        return term(self.output_type(**output), self.batch_type(**batch))

    def test_says_what_it_reads(self) -> None:
        term = self.make()
        for attribute, fields, owner in (
            ("reads", term.reads, self.output_type),
            ("targets", term.targets, self.batch_type),
        ):
            known = set(owner._fields)  # type: ignore[attr-defined]
            assert isinstance(fields, frozenset) and fields <= known, (  # noqa: PT018
                f"{self.name()}.{attribute} is a frozenset of fields of {owner.__name__}; got {fields!r}."
            )
        assert term.reads, f"{self.name()}.reads names at least one field; otherwise there is nothing to train."

    def test_reads_nothing_else(self) -> None:
        term = self.prepare()
        output, batch = self.random_fields(self.sizes[0])
        expected = self.value(term, output, batch)
        hidden = [{name: value if name in declared else as_nan(value) for name, value in fields.items()}
                  for fields, declared in ((output, term.reads), (batch, term.targets))]  # fmt: skip
        got = self.value(term, *hidden)
        check_equal([expected], [got], f"{self.name()} reads only {sorted(term.reads)} and {sorted(term.targets)}")

    def test_a_finite_scalar_for_images_of_any_size(self) -> None:
        term = self.prepare()
        for size in self.sizes:
            for count in (1, 2):
                value = self.value(term, *self.random_fields(size, count))
                assert value.shape == (), f"{self.name()} gives a scalar; got shape {tuple(value.shape)}."
                assert value.isfinite(), f"{self.name()} gives a finite number; got {value.item()} at size {size}."

    def test_the_weight_is_left_to_the_training_module(self) -> None:
        term = self.prepare()
        fields = self.random_fields(self.sizes[0])
        before = self.value(term, *fields)
        assert isinstance(term.weight, int | float), f"{self.name()} has a weight; got {term.weight!r}."
        term.weight = 7.0 * term.weight + 1
        check_equal([before], [self.value(term, *fields)], f"{self.name()} gives its value without the weight")

    def test_what_it_reads_is_trained(self) -> None:
        term = self.prepare()
        output, batch = self.random_fields(self.sizes[0])
        for name in term.reads:
            output[name].requires_grad_()
        value = self.value(term, output, batch)
        assert value.requires_grad, f"{self.name()} is differentiable with respect to {sorted(term.reads)}."
        value.backward()
        gradients = [output[name].grad for name in term.reads if output[name].grad is not None]
        assert any(gradient.any() for gradient in gradients), f"{self.name()} moves at least one field that it reads."
        assert all(gradient.isfinite().all() for gradient in gradients), f"{self.name()}'s gradients are finite."

    def test_gradients_are_finite_where_nothing_is_wrong(self) -> None:
        term = self.prepare()
        output, batch = self.random_fields(self.sizes[0])
        output |= self.perfect_fields(output, batch)
        for name in term.reads:
            output[name] = output[name].detach().clone().requires_grad_()
        value = self.value(term, output, batch)
        assert value.isfinite(), f"{self.name()} gives a finite number for a perfect prediction; got {value.item()}."
        value.backward()
        for name in term.reads:
            gradient = output[name].grad
            assert gradient is None or gradient.isfinite().all(), (
                f"{self.name()}'s gradient of {name} is finite for a perfect prediction too."
            )

    @abstractmethod
    def perfect_fields(self, output: Fields, batch: Fields) -> Fields:
        """Return the fields of an output that agree with the batch."""

    def test_changes_nothing_in_place(self) -> None:
        term = self.prepare()
        output, batch = self.random_fields(self.sizes[0])
        tensors = [value for value in (*output.values(), *batch.values()) if isinstance(value, Tensor)]
        before = [value.clone() for value in tensors]
        with torch.no_grad():
            first, again = (self.value(term, output, batch) for _ in range(2))
        check_equal(before, tensors, f"{self.name()} leaves output and batch as they are")
        check_equal([first], [again], f"{self.name()} gives the same again")


class MattingLossContract(LossContract):
    """Contract tests of a loss term of background matting.

    Example:
        >>> from zoo_plugins.losses.matting import AlphaL1
        >>> class TestAlphaL1(MattingLossContract):
        ...     def make(self): return AlphaL1()
        >>> TestAlphaL1().test_reads_nothing_else()
    """

    output_type, batch_type = MattingOutput, MattingBatch
    sizes = [(32, 48), (33, 47), (8, 12)]

    def random_fields(self, size: tuple[int, int], count: int = 2) -> tuple[Fields, Fields]:
        height, width = size
        small, cells = (height // 2, width // 2), (-(-height // PATCH), -(-width // PATCH))
        with run_seed(0):
            output = {
                "alpha": noise(count, 1, *size),
                "foreground": noise(count, 3, *size),
                "coarse_alpha": noise(count, 1, *small),
                "coarse_foreground": noise(count, 3, *small),
                "error": noise(count, 1, *small),
                "refined": noise(count, 1, *cells).round(),
            }
            batch = {
                "source": noise(count, 3, *size),
                "background": noise(count, 3, *size),
                "alpha": noise(count, 1, *size) * noise(count, 1, *size).round(),
                "foreground": noise(count, 3, *size),
                "trimap": noise(count, 1, *size).round(),
            }
        return output, batch

    def perfect_fields(self, output: Fields, batch: Fields) -> Fields:
        batch |= {name: torch.zeros_like(value) for name, value in batch.items()}
        return {name: torch.zeros_like(value) for name, value in output.items()}


class HeadLossContract(LossContract):
    """Contract tests of a loss term of 3D heads.

    Example:
        >>> from zoo_plugins.losses.heads import LandmarkL1
        >>> class TestLandmarkL1(HeadLossContract):
        ...     def make(self): return LandmarkL1()
        >>> TestLandmarkL1().test_says_what_it_reads()
    """

    output_type, batch_type = HeadOutput, HeadBatch
    sizes = [(64, 64), (32, 32), (96, 96)]
    head_model = "ProceduralHead"
    """Registered name of the head model of the data."""

    def build(self, term: Any) -> None:
        if isinstance(term, HeadLoss):
            term.build(load_head_model(self.head_model))

    def random_fields(self, size: tuple[int, int], count: int = 2) -> tuple[Fields, Fields]:
        side, head = size[0], load_head_model(self.head_model)
        with run_seed(0):
            params = (0.3 * torch.randn(2 * count, head.sizes.total)).double()
            vertices = head.template.double() + 0.01 * torch.randn(2 * count, head.vertex_count, 3).double()
            projected = side * (0.5 + 3 * vertices[..., :2])
            landmarks = noise(2 * count, LANDMARKS, 2)
            rotation = matrix_from_euler(60 * noise(2 * count, 3) - 30)
            output = {
                "heatmaps": 4 * noise(count, LANDMARKS, side // 4, side // 4) - 2,
                "landmarks": landmarks[:count],
                "params": params[:count],
                "vertices": vertices[:count],
                "projected": projected[:count],
                "rotation": rotation[:count],
            }
            batch = {
                "image": noise(count, 3, side, side),
                "vertices": vertices[count:],
                "projected": projected[count:],
                "landmarks": landmarks[count:],
                "visible": noise(count, LANDMARKS).round(),
                "rotation": rotation[count:],
                "box": side * noise(count, 4),
                "neutral": vertices[count:].flip(0),
            }
        return {name: value.clone() for name, value in output.items()}, batch

    def perfect_fields(self, output: Fields, batch: Fields) -> Fields:
        shared = output.keys() & batch.keys()
        return {name: batch[name] for name in shared} | {"heatmaps": torch.full_like(output["heatmaps"], -40.0)}


@cache
def load_head_model(name: str) -> HeadModel:
    """Return the head model of a registered name, cached after the first call.

    Example:
        >>> load_head_model("ProceduralHead").vertex_count
        5023
    """
    return get_slot("head_models").get(name)()


def noise(*shape: int) -> Tensor:
    """Return random numbers in [0, 1) in double precision."""
    return torch.rand(*shape, dtype=torch.float64)


def as_nan(value: Any) -> Any:
    """Return a tensor of NaN like `value`, which is returned as it is if it is no tensor."""
    return torch.full_like(value, math.nan) if isinstance(value, Tensor) else value
