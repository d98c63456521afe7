"""Contract of the parts of networks: they compute on tensors of any size and batch."""

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
    """Contract tests of a part of a network: seeds, saving, copies, batches, precision, gradients, export.

    The contract of a slot defines how the part is built (`build`) and called (`inputs`, `compute`).

    Example:
        >>> class TestChannelNorm(NetworkPartContract):
        ...     def make(self): return nn.InstanceNorm2d(3)
        ...     def inputs(self, batch, size): return (torch.rand(batch, 3, *size),)
        ...     def compute(self, part, inputs): return (part(*inputs),)
        >>> TestChannelNorm().test_an_image_does_not_depend_on_its_neighbours()
    """

    sizes: Sequence[tuple[int, int]] = ((32, 48), (33, 47), (8, 12))
    """Heights and widths of the test images."""
    trains = True
    """Whether the part can be called in training mode."""
    exported = True
    """Whether the part belongs to an exported network."""

    def build(self, part: Any) -> None:
        """Prepare the part as the network does before the first call."""

    @abstractmethod
    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        """Return random floats for images of a size, the batch in the first dimension of each."""

    @abstractmethod
    def compute(self, part: Any, inputs: Inputs) -> Inputs:
        """Call the part and return its tensors."""

    def prepare(self, seed: int = 0) -> Any:
        """Return the part, built, in double precision and with the batch statistics of one batch."""
        with run_seed(seed):
            part = self.make()
            self.build(part)
            part.double()
            if self.trains:
                with torch.no_grad():
                    self.compute(part.train(), self.seeded_inputs(2))
        return part.eval()

    def seeded_inputs(self, batch: int = 2, size: tuple[int, int] | None = None, seed: int = 0) -> Inputs:
        """Return random inputs in double precision."""
        with run_seed(seed):
            return tuple(value.double() for value in self.inputs(batch, size or self.sizes[0]))

    def test_same_seed_same_weights(self) -> None:
        first, second = self.prepare(seed=3).state_dict(), self.prepare(seed=3).state_dict()
        for key, value in first.items():
            assert torch.equal(value, second[key]), f"{self.name()} is initialised alike under one seed; {key} differs."

    def test_weights_are_saved_and_loaded(self) -> None:
        part, other, inputs = self.prepare(seed=1), self.prepare(seed=2), self.seeded_inputs()
        file = io.BytesIO()
        torch.save(part.state_dict(), file)
        file.seek(0)
        fit = other.load_state_dict(torch.load(file, weights_only=True), strict=False)
        assert not any(fit), f"{self.name()} has the same weights whenever it is built; {fit}."
        expected, got = self.evaluate(part, inputs), self.evaluate(other, inputs)
        check_equal(expected, got, f"{self.name()} computes from its weights")

    def test_copies_compute_the_same(self) -> None:
        part, inputs = self.prepare(), self.seeded_inputs()
        expected = self.evaluate(part, inputs)
        for way, copied in (("pickle", pickle.loads(pickle.dumps(part))), ("deepcopy", copy.deepcopy(part))):
            check_equal(expected, self.evaluate(copied, inputs), f"{self.name()} computes the same after {way}")

    def test_evaluation_changes_nothing(self) -> None:
        part, inputs = self.prepare(), self.seeded_inputs()
        before, state = [value.clone() for value in inputs], copy.deepcopy(part.state_dict())
        expected = self.evaluate(part, inputs)
        check_equal(before, inputs, f"{self.name()} leaves its inputs as they are")
        with run_seed(7):
            check_equal(expected, self.evaluate(part, inputs), f"{self.name()} gives the same again in evaluation")
        for key, value in part.state_dict().items():
            assert torch.equal(value, state[key]), f"{self.name()} keeps its weights in evaluation; {key} changed."

    def test_an_image_does_not_depend_on_its_neighbours(self) -> None:
        part, inputs = self.prepare(), self.seeded_inputs(3)
        together = self.evaluate(part, inputs)
        for index in range(3):
            alone = self.evaluate(part, tuple(value[index : index + 1] for value in inputs))
            cut = [value[index : index + 1] for value in together]
            check_close(cut, alone, f"{self.name()} treats each image of a batch as if it were alone, in evaluation")

    def test_single_precision_is_enough(self) -> None:
        with run_seed(0):
            part = self.prepare().float()
            inputs = tuple(value.float() for value in self.seeded_inputs())
        for value in self.evaluate(part, inputs):
            assert value.is_floating_point(), f"{self.name()} gives floats; got {value.dtype}."
            assert value.isfinite().all(), f"{self.name()} gives finite numbers."

    def test_every_parameter_gets_a_gradient(self) -> None:
        part = self.prepare()
        parameters = {key: value for key, value in part.named_parameters() if value.requires_grad}
        if not parameters or not self.trains:
            return
        with run_seed(0):
            results = [value for value in self.compute(part.train(), self.seeded_inputs(4)) if value.requires_grad]
            torch.stack([(value * torch.randn_like(value)).sum() for value in results]).sum().backward()
        lacking = [key for key, value in parameters.items() if value.grad is None]
        assert not lacking, f"{self.name()} gives each parameter a gradient, as DDP needs it; {lacking} got none."
        unfit = [key for key, value in parameters.items() if value.grad is not None and not value.grad.isfinite().all()]
        assert not unfit, f"{self.name()}'s gradients are finite; those of {unfit} are not."

    def test_training_draws_follow_the_seed(self) -> None:
        if not self.trains:
            return
        inputs = self.seeded_inputs()
        first, second = (self.prepare().train() for _ in range(2))
        with run_seed(5):
            expected = self.evaluate(first, inputs)
        with run_seed(5):
            got = self.evaluate(second, inputs)
        check_equal(expected, got, f"{self.name()} draws alike in training under one seed")

    def test_can_be_exported(self) -> None:
        if not self.exported:
            return
        part, inputs = self.prepare(), self.seeded_inputs()
        batch = torch.export.Dim("batch", min=1, max=64)
        shapes = (tuple({0: batch} for _ in inputs),)
        promise = f"{self.name()} exported by torch.export computes the same, for any batch"
        with torch.no_grad():
            module = CalledPart(part, self.compute)
            program = torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)
            for count in (2, 3):
                inputs = self.seeded_inputs(count)
                check_close(self.evaluate(part, inputs), program.module()(*inputs), promise)

    def evaluate(self, part: Any, inputs: Inputs) -> Inputs:
        """Call the part without gradients."""
        with torch.no_grad():
            return self.compute(part, inputs)


class CalledPart(nn.Module):
    """Module that calls a part by a function."""

    def __init__(self, part: nn.Module, call: Callable[[Any, Inputs], Inputs]) -> None:
        super().__init__()
        self.part = part
        self.call = call

    def forward(self, *inputs: Tensor) -> Inputs:
        return self.call(self.part, inputs)


def check_equal(expected: Sequence[Tensor], got: Sequence[Tensor], promise: str) -> None:
    """Raise AssertionError with the promise unless the tensors are equal.

    Example:
        >>> check_equal([torch.ones(2)], [torch.ones(2)], "the layer returns ones")
    """
    assert len(expected) == len(got), f"{promise}; got {len(got)} results, expected {len(expected)}."
    for one, other in zip(expected, got, strict=True):
        assert one.shape == other.shape, f"{promise}; the shape was {tuple(one.shape)} and is {tuple(other.shape)}."
        assert torch.equal(one, other), f"{promise}; it differs by up to {largest_difference(one, other):.3g}."


def check_close(expected: Sequence[Tensor], got: Sequence[Tensor], promise: str, tolerance: float = 1e-6) -> None:
    """Raise AssertionError with the promise unless the tensors agree within a tolerance.

    Example:
        >>> check_close([torch.ones(2)], [torch.ones(2) + 1e-7], "the layer returns ones")
    """
    assert len(expected) == len(got), f"{promise}; got {len(got)} results, expected {len(expected)}."
    for one, other in zip(expected, got, strict=True):
        assert one.shape == other.shape, f"{promise}; the shape was {tuple(one.shape)} and is {tuple(other.shape)}."
        difference = largest_difference(one, other)
        assert difference <= tolerance, f"{promise}; it differs by up to {difference:.3g}."


def check_shape(value: Tensor, expected: tuple[int, ...], promise: str) -> None:
    """Raise AssertionError with the promise unless the tensor has the shape.

    Example:
        >>> check_shape(torch.ones(2, 3), (2, 3), "the layer returns one row for each image")
    """
    assert isinstance(value, Tensor), f"{promise}; got a {type(value).__name__}."
    assert tuple(value.shape) == expected, f"{promise}; got shape {tuple(value.shape)}, expected {expected}."


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Return the largest absolute difference; infinite where only one of two numbers is NaN."""
    if not one.numel():
        return 0.0
    difference = (one.double() - other.double()).abs()
    return difference.nan_to_num(nan=float("inf")).max().item()
