"""The contracts of loss terms, one for each task."""

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
    """What a loss term promises, whatever the task: a scalar of the fields that it says it reads, and a gradient."""

    slot = "losses"
    output_type: type
    batch_type: type

    @abstractmethod
    def random_fields(self, size: tuple[int, int], count: int = 2) -> tuple[Fields, Fields]:
        """Fields of an output that a network might give, and of a batch, for pictures of a size."""

    @property
    @abstractmethod
    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths of pictures."""

    def build(self, term: Any) -> None:
        """Do what the training module does before the first call."""

    def prepare(self) -> LossTerm:
        """The term, ready to be called."""
        with run_seed(0):
            term = self.make()
            self.build(term)
        return term.double()

    def value(self, term: LossTerm, output: Mapping[str, Any], batch: Mapping[str, Any]) -> Tensor:
        """Call the term."""
        return term(self.output_type(**output), self.batch_type(**batch))

    def test_says_what_it_reads(self) -> None:
        term = self.make()
        for what, fields, owner in (
            ("reads", term.reads, self.output_type),
            ("targets", term.targets, self.batch_type),
        ):
            known = set(owner._fields)  # type: ignore[attr-defined]
            assert isinstance(fields, frozenset) and fields <= known, (  # noqa: PT018
                f"{self.name()}.{what} is a frozenset of fields of {owner.__name__}; got {fields!r}."
            )
        assert term.reads, f"{self.name()}.reads names at least one field; otherwise there is nothing to train."

    def test_reads_nothing_else(self) -> None:
        term = self.prepare()
        output, batch = self.random_fields(self.sizes[0])
        expected = self.value(term, output, batch)
        hidden = [{name: spoilt(value) if name not in seen else value for name, value in fields.items()}
                  for fields, seen in ((output, term.reads), (batch, term.targets))]  # fmt: skip
        got = self.value(term, *hidden)
        check_equal([expected], [got], f"{self.name()} reads only {sorted(term.reads)} and {sorted(term.targets)}")

    def test_a_finite_scalar_for_pictures_of_any_size(self) -> None:
        term = self.prepare()
        for size in self.sizes:
            for count in (1, 2):
                value = self.value(term, *self.random_fields(size, count))
                assert value.shape == (), f"{self.name()} gives a scalar; got shape {tuple(value.shape)}."
                assert value.isfinite(), f"{self.name()} gives a finite number; got {value.item()} at size {size}."

    def test_the_weight_is_left_to_the_training_module(self) -> None:
        term = self.prepare()
        given = self.random_fields(self.sizes[0])
        before = self.value(term, *given)
        assert isinstance(term.weight, int | float), f"{self.name()} has a weight; got {term.weight!r}."
        term.weight = 7.0 * term.weight + 1
        check_equal([before], [self.value(term, *given)], f"{self.name()} gives its value without the weight")

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
        output |= self.perfect(output, batch)
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
    def perfect(self, output: Fields, batch: Fields) -> Fields:
        """Fields of an output that agree with the batch."""

    def test_changes_nothing_in_place(self) -> None:
        term = self.prepare()
        given = self.random_fields(self.sizes[0])
        before = [value.clone() for fields in given for value in fields.values() if isinstance(value, Tensor)]
        with torch.no_grad():
            first = self.value(term, *given)
            again = self.value(term, *given)
        after = [value for fields in given for value in fields.values() if isinstance(value, Tensor)]
        check_equal(before, after, f"{self.name()} leaves output and batch as they are")
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
            alpha = noise(count, 1, *size) * noise(count, 1, *size).round()
            batch = {
                "source": noise(count, 3, *size),
                "background": noise(count, 3, *size),
                "alpha": alpha,
                "foreground": noise(count, 3, *size),
                "trimap": noise(count, 1, *size).round(),
            }
        return output, batch

    def perfect(self, output: Fields, batch: Fields) -> Fields:
        flat = {name: torch.zeros_like(value) for name, value in output.items()}
        batch |= {name: torch.zeros_like(value) for name, value in batch.items()}
        return flat


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
    """Name of the head model that is trained."""

    def build(self, term: Any) -> None:
        if isinstance(term, HeadLoss):
            term.build(head_named(self.head_model))

    def random_fields(self, size: tuple[int, int], count: int = 2) -> tuple[Fields, Fields]:
        side, head = size[0], head_named(self.head_model)
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

    def perfect(self, output: Fields, batch: Fields) -> Fields:
        shared = output.keys() & batch.keys()
        return {name: batch[name] for name in shared} | {"heatmaps": torch.full_like(output["heatmaps"], -40.0)}


@cache
def head_named(name: str) -> HeadModel:
    """A head model, made once."""
    return get_slot("head_models").get(name)()


def noise(*shape: int) -> Tensor:
    """Random numbers in [0, 1)."""
    return torch.rand(*shape, dtype=torch.float64)


def spoilt(value: Any) -> Any:
    """The tensor with nothing but NaN in it."""
    return torch.full_like(value, math.nan) if isinstance(value, Tensor) else value
