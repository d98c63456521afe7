"""Contract of catalogues."""

import json
import math
import re

from zoo.core.registry import get_slot
from zoo.core.slot import PluginError
from zoo.core.spec import is_spec
from zoo.hub.catalogue import Entry, all_entries
from zoo.hub.checksums import content_difference, expected_content, file_content
from zoo.hub.sources import local_path
from zoo.training.models import named_spec


class CatalogueContract:
    """Contract tests of a catalogue: unique names, licences, training data and checksums of local files.

    Reading the catalogue checks keys, types and duplicate names. No network is used.

    Example:
        >>> class TestBuiltInCatalogue(CatalogueContract):
        ...     name = "ablation_zoo"
        >>> TestBuiltInCatalogue().test_each_name_stands_for_one_thing()
    """

    name: str
    """Name of the entry point."""

    def entries(self) -> dict[str, Entry]:
        """Return the entries by name."""
        try:
            return get_slot("catalogues").get(self.name)
        except PluginError as error:
            raise AssertionError(f"the catalogue {self.name} can be read: {error}") from error

    def test_has_entries(self) -> None:
        assert self.entries(), f"the catalogue {self.name} has at least one entry."

    def test_each_name_stands_for_one_thing(self) -> None:
        everything = all_entries()
        for entry in self.entries().values():
            for name in filter(None, (entry.name, entry.short_name)):
                claims = [f"{claim.name} ({claim.catalogue})" for claim in everything[name]]
                assert len(claims) == 1, f"'{name}' stands for one thing; it stands for {' and '.join(claims)}."

    def test_says_whose_the_weights_are_and_what_they_saw(self) -> None:
        for entry in self.entries().values():
            for what, text in (("its licence", entry.licence.name), ("training_data", entry.training_data)):
                assert text.strip(), f"{entry.name} says {what}; got {text!r}."
            address = entry.licence.url
            assert address is None or re.match(r"https?://\S+$", address), (
                f"{entry.name}'s licence has the address of its text; got {address!r}."
            )

    def test_models_are_there_and_take_the_arguments(self) -> None:
        for entry in self.entries().values():
            if entry.model is None:
                continue
            try:
                spec = named_spec(entry.model, None, entry.arguments)
            except (PluginError, ValueError) as error:
                raise AssertionError(f"{entry.name} names a model and arguments of it: {error}") from error
            assert is_spec(json.loads(json.dumps(spec))), f"{entry.name}'s arguments are plain data; got {spec}."

    def test_default_weights_are_those_of_their_model(self) -> None:
        for entry in self.entries().values():
            if entry.default and entry.model is not None:
                assert entry.short_name == entry.model, (
                    f"{entry.name} are the default weights of {entry.short_name}, as their name says; their model is "
                    f"{entry.model}."
                )

    def test_metrics_are_numbers(self) -> None:
        for entry in self.entries().values():
            for metrics in entry.metrics:
                assert metrics.values, f"{entry.name} has values for {metrics.data}; got none."
                for name, value in metrics.values.items():
                    assert math.isfinite(value), f"{entry.name}'s {name} on {metrics.data} is a number; got {value}."

    def test_files_that_are_here_are_what_it_says(self) -> None:
        for entry in self.entries().values():
            try:
                path = local_path(entry.source)
            except ValueError as error:
                raise AssertionError(f"{entry.name} has a source that can be used: {error}.") from error
            if path is not None:
                assert path.is_file(), f"{entry.name} lies at {path}; there is no such file."
                problem = content_difference(file_content(path), expected_content(entry, ignore_pin=True))
                assert problem is None, f"{path} is what the catalogue says of {entry.name}; it has {problem}."
