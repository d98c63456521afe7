"""DAD-3DHeads, or any other data in its format."""

from typing import Literal

import torch

from zoo.core.errors import ZooError
from zoo.heads.crop import check_box
from zoo.heads.dad_format import Annotation, Item, missing_files, read_annotation, read_items
from zoo.heads.mesh import HeadModel
from zoo.heads.parts import HeadDataset, HeadPicture
from zoo.media.images import read_image, to_tensor

SHOWN = 3  # missing files that a sentence lists before it stops


class DADHeads(HeadDataset):
    """Annotated heads: DAD-3DHeads, which the user downloads (CC BY-NC-SA 4.0), or the files of `zoo data synth heads`.

    Args:
        root: the folder with `train`, `val` and `test` in it.
        split: which of them. The published test split has no annotations: predictions for it are submitted.
        attributes: only heads with all of these, such as {pose: atypical, occlusions: true}; None for all heads.

    Raises:
        ZooError: the split is missing or without annotations, its list is broken, files are missing, or no head
            has the attributes.

    Example:
        >>> DADHeads("nowhere", "val")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        zoo.core.errors.ZooError: nowhere/val/val.json: there is no such file; expected the folder of DAD-3DHeads ...
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "val", "test"] = "train",
        attributes: dict[str, str | bool] | None = None,
    ) -> None:
        items = read_items(root, split)
        self._items = [item for item in items if has_attributes(item, attributes or {})]
        if not self._items:
            raise ZooError(
                f"none of the {len(items)} heads in the split '{split}' of {root} has the attributes {attributes}; "
                f"there are {known_attributes(items)}."
            )
        if not any(item.annotation.is_file() for item in self._items):
            raise ZooError(
                f"the split '{split}' of {root} has no annotations (the published test split has none: its predictions "
                "are submitted to the benchmark, see `zoo head submit`); expected an annotated split, such as val."
            )
        if missing := missing_files(self._items):
            listed = ", ".join(str(path) for path in missing[:SHOWN]) + (", …" if len(missing) > SHOWN else "")
            raise ZooError(
                f"{len(missing)} of the files that the split '{split}' of {root} names are missing ({listed}): "
                "unpack the data set again."
            )

    def build(self, head_model: HeadModel) -> None:
        super().build(head_model)
        read_annotation(self._items[0].annotation, head_model.vertex_count)

    def __len__(self) -> int:
        return len(self._items)

    def picture(self, index: int) -> HeadPicture:
        item = self._items[index]
        pixels = read_image(item.image, "RGB")
        height, width = pixels.shape[:2]
        try:
            check_box(item.box, (height, width))
        except ValueError as error:
            raise ZooError(f"{item.image}: {error}") from None
        annotation = self.annotation(index)
        return HeadPicture(
            image=to_tensor(pixels, scale=False),
            box=torch.tensor(item.box),
            vertices=torch.from_numpy(annotation.vertices).float(),
            projected=torch.from_numpy(annotation.projected(height)).float(),
            rotation=torch.from_numpy(annotation.rotation).float(),
            attributes=item.attributes,
            name=item.name,
        )

    def annotation(self, index: int) -> Annotation:
        """Return vertices and camera of head number `index`, as its file has them."""
        return read_annotation(self._items[index].annotation, self.head_model.vertex_count)


def has_attributes(item: Item, attributes: dict[str, str | bool]) -> bool:
    """Return whether the item has all attributes, upper and lower case alike."""
    return all(item.attributes.get(name, "").lower() == str(value).lower() for name, value in attributes.items())


def known_attributes(items: list[Item]) -> str:
    """Return every attribute of the items with its values, as in `pose (front, sided)`."""
    values: dict[str, set[str]] = {}
    for item in items:
        for name, value in item.attributes.items():
            values.setdefault(name, set()).add(value)
    return ", ".join(f"{name} ({', '.join(sorted(known))})" for name, known in sorted(values.items())) or "none"
