"""The contract of the parts that networks are built from: they compute on tensors of any size and batch."""

import copy
import io
import pickle
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.testing.parts import PartContract, run_seed

Inputs = tuple[Tensor, ...]


class NetworkPartContract(PartContract):
    """What a part of a network promises, whatever it computes.

    A slot's contract says how the part is built, what it is given and how it is called; all of this is tested alike.
    """

    sizes: Sequence[tuple[int, int]] = ((32, 48), (33, 47), (8, 12))
    """Heights and widths of the pictures that the part is tried on."""
    trains = True
    """Whether it can be called in training mode."""
    exported = True
    """Whether it is a part of what is exported."""

    def build(self, part: Any) -> None:
        """Do what the network does before the first call."""

    @abstractmethod
    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        """Random floats for pictures of a size, the batch in the first dimension of each."""

    @abstractmethod
    def compute(self, part: Any, inputs: Inputs) -> Inputs:
        """Call the part."""

    def made(self, seed: int = 0) -> Any:
        """The part, built, in double precision, so that equal means equal, with statistics of a first batch."""
        with run_seed(seed):
            part = self.make()
            self.build(part)
            part.double()
            if self.trains:
                with torch.no_grad():
                    self.compute(part.train(), self.drawn(2))
        return part.eval()

    def drawn(self, batch: int = 2, size: tuple[int, int] | None = None, seed: int = 0) -> Inputs:
        """Inputs in double precision."""
        with run_seed(seed):
            return tuple(value.double() for value in self.inputs(batch, size or self.sizes[0]))

    def test_same_seed_same_weights(self) -> None:
        first, second = self.made(seed=3).state_dict(), self.made(seed=3).state_dict()
        for key, value in first.items():
            assert torch.equal(value, second[key]), f"{self.name()} is initialised alike under one seed; {key} differs."

    def test_weights_are_saved_and_loaded(self) -> None:
        part, other, given = self.made(seed=1), self.made(seed=2), self.drawn()
        file = io.BytesIO()
        torch.save(part.state_dict(), file)
        file.seek(0)
        fit = other.load_state_dict(torch.load(file, weights_only=True), strict=False)
        assert not any(fit), f"{self.name()} has the same weights whenever it is built; {fit}."
        check_equal(self.computed(part, given), self.computed(other, given), f"{self.name()} computes from its weights")

    def test_copies_compute_the_same(self) -> None:
        part, given = self.made(), self.drawn()
        expected = self.computed(part, given)
        for way, copied in (("pickle", pickle.loads(pickle.dumps(part))), ("deepcopy", copy.deepcopy(part))):
            check_equal(expected, self.computed(copied, given), f"{self.name()} computes the same after {way}")

    def test_evaluation_changes_nothing(self) -> None:
        part, given = self.made(), self.drawn()
        before, state = [value.clone() for value in given], copy.deepcopy(part.state_dict())
        expected = self.computed(part, given)
        check_equal(before, given, f"{self.name()} leaves its inputs as they are")
        with run_seed(7):
            check_equal(expected, self.computed(part, given), f"{self.name()} gives the same again in evaluation")
        for key, value in part.state_dict().items():
            assert torch.equal(value, state[key]), f"{self.name()} keeps its weights in evaluation; {key} changed."

    def test_an_image_does_not_depend_on_its_neighbours(self) -> None:
        part, given = self.made(), self.drawn(3)
        together = self.computed(part, given)
        for index in range(3):
            alone = self.computed(part, tuple(value[index : index + 1] for value in given))
            cut = [value[index : index + 1] for value in together]
            check_close(cut, alone, f"{self.name()} treats each image of a batch as if it were alone, in evaluation")

    def test_single_precision_is_enough(self) -> None:
        with run_seed(0):
            part = self.made().float()
            given = tuple(value.float() for value in self.drawn())
        for value in self.computed(part, given):
            assert value.is_floating_point(), f"{self.name()} gives floats; got {value.dtype}."
            assert value.isfinite().all(), f"{self.name()} gives finite numbers."

    def test_every_parameter_gets_a_gradient(self) -> None:
        part = self.made()
        parameters = {key: value for key, value in part.named_parameters() if value.requires_grad}
        if not parameters or not self.trains:
            return
        with run_seed(0):
            results = [value for value in self.compute(part.train(), self.drawn(4)) if value.requires_grad]
            torch.stack([(value * torch.randn_like(value)).sum() for value in results]).sum().backward()
        lacking = [key for key, value in parameters.items() if value.grad is None]
        assert not lacking, f"{self.name()} gives each parameter a gradient, as DDP needs it; {lacking} got none."
        unfit = [key for key, value in parameters.items() if value.grad is not None and not value.grad.isfinite().all()]
        assert not unfit, f"{self.name()}'s gradients are finite; those of {unfit} are not."

    def test_training_draws_follow_the_seed(self) -> None:
        if not self.trains:
            return
        given = self.drawn()
        first, second = (self.made().train() for _ in range(2))
        with run_seed(5):
            expected = self.computed(first, given)
        with run_seed(5):
            got = self.computed(second, given)
        check_equal(expected, got, f"{self.name()} draws alike in training under one seed")

    def test_can_be_exported(self) -> None:
        if not self.exported:
            return
        part, given = self.made(), self.drawn()
        batch = torch.export.Dim("batch", min=1, max=64)
        with torch.no_grad():
            program = torch.export.export(
                Called(part, self.compute), given, dynamic_shapes=(tuple({0: batch} for _ in given),), strict=False
            )
            for count in (2, 3):
                given = self.drawn(count)
                check_close(
                    self.computed(part, given),
                    program.module()(*given),
                    f"{self.name()} exported by torch.export computes the same, for any batch",
                )

    def computed(self, part: Any, inputs: Inputs) -> Inputs:
        """Call the part without gradients."""
        with torch.no_grad():
            return self.compute(part, inputs)


class Called(nn.Module):
    """A part with what calls it, as one module."""

    def __init__(self, part: nn.Module, call: Callable[[Any, Inputs], Inputs]) -> None:
        super().__init__()
        self.part = part
        self.call = call

    def forward(self, *inputs: Tensor) -> Inputs:
        return self.call(self.part, inputs)


def check_equal(expected: Sequence[Tensor], got: Sequence[Tensor], promise: str) -> None:
    """AssertionError with the promise unless the tensors are equal."""
    assert len(expected) == len(got), f"{promise}; got {len(got)} results, expected {len(expected)}."
    for one, other in zip(expected, got, strict=True):
        assert one.shape == other.shape, f"{promise}; the shape was {tuple(one.shape)} and is {tuple(other.shape)}."
        assert torch.equal(one, other), f"{promise}; it differs by up to {largest_difference(one, other):.3g}."


def check_close(expected: Sequence[Tensor], got: Sequence[Tensor], promise: str, tolerance: float = 1e-6) -> None:
    """AssertionError with the promise unless the tensors agree but for roundings."""
    assert len(expected) == len(got), f"{promise}; got {len(got)} results, expected {len(expected)}."
    for one, other in zip(expected, got, strict=True):
        assert one.shape == other.shape, f"{promise}; the shape was {tuple(one.shape)} and is {tuple(other.shape)}."
        difference = largest_difference(one, other)
        assert difference <= tolerance, f"{promise}; it differs by up to {difference:.3g}."


def check_shape(value: Tensor, expected: tuple[int, ...], promise: str) -> None:
    """AssertionError with the promise unless the tensor has the shape."""
    assert isinstance(value, Tensor), f"{promise}; got a {type(value).__name__}."
    assert tuple(value.shape) == expected, f"{promise}; got shape {tuple(value.shape)}, expected {expected}."


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Of all entries; infinite where only one is no number."""
    if not one.numel():
        return 0.0
    difference = (one.double() - other.double()).abs()
    return difference.nan_to_num(nan=float("inf")).max().item()
