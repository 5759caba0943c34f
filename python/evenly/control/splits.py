"""Weights of splits that an operator has set while the process runs, laid over those of the file.

They hold over reloads, upgrades and, with `state_dir`, restarts, until the operator clears them or the file's own
weights of that route change: whoever edits the file has the last word. Pure: what was said goes in, what is to run
comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from evenly.config import Resolved
from evenly.control.status import SplitStatus

Weights = Mapping[str, int]
"""Weights by pool."""

HEAVIEST = 1_000_000
"""As in the file."""


class SplitError(ValueError):
    """Weights that do not fit the route's split; the text says what was expected."""


@dataclass(frozen=True)
class Splits:
    """What was set, by route: the file's weights at that time, and the operator's."""

    by_route: Mapping[str, tuple[Weights, Weights]] = field(default_factory=dict)

    def with_weights(self, route: str, file: Weights, weights: Weights) -> Splits:
        """With weights for one route. Raises `SplitError`."""
        if weights.keys() != file.keys():
            raise SplitError(f"expected a weight for each of {', '.join(file)}; found {', '.join(weights) or 'none'}")
        if not any(weights.values()):
            raise SplitError("expected at least one weight above 0")
        ordered = {pool: weights[pool] for pool in file}
        return Splits({**self.by_route, route: (dict(file), ordered)})

    def without(self, route: str) -> Splits:
        """With the file's weights for one route."""
        return Splits({name: kept for name, kept in self.by_route.items() if name != route})

    def that_hold(self, resolved: Resolved) -> Splits:
        """Those whose route still has the weights in its file that it had when they were set."""
        file = {route.name: route.split for route in resolved.settings.routes}
        return Splits({name: kept for name, kept in self.by_route.items() if file.get(name) == kept[0]})

    def over(self, resolved: Resolved) -> Resolved:
        """What is to run, with these weights in it."""
        if not self.by_route:
            return resolved
        routes = [
            route.model_copy(update={"split": dict(self.by_route[route.name][1])})
            if route.name in self.by_route
            else route
            for route in resolved.settings.routes
        ]
        settings = resolved.settings.model_copy(update={"routes": routes})
        return replace(resolved, loaded=replace(resolved.loaded, settings=settings))

    def status(self, resolved: Resolved) -> list[SplitStatus]:
        """Every route that splits, with the weights that count and those of the file."""
        return [
            SplitStatus(
                route=route.name,
                weights=dict(self.by_route[route.name][1] if route.name in self.by_route else route.split),
                file=dict(route.split),
            )
            for route in resolved.settings.routes
            if route.split is not None
        ]

    def dump(self) -> dict[str, dict[str, dict[str, int]]]:
        """For a successor, and for `state_dir`."""
        return {
            route: {"weights": dict(weights), "file": dict(file)} for route, (file, weights) in self.by_route.items()
        }

    @classmethod
    def load(cls, dumped: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Splits:
        """Reads what `dump` wrote. Raises `SplitError`, `ValueError` or what else wrong JSON leads to."""
        splits = cls()
        for route, each in dumped.items():
            file, weights = ({pool: _weight(value) for pool, value in each[key].items()} for key in ("file", "weights"))
            splits = splits.with_weights(route, file, weights)
        return splits


def _weight(value: object) -> int:
    if type(value) is not int or not 0 <= value <= HEAVIEST:
        raise ValueError(f"expected a weight from 0 to {HEAVIEST}, found {value!r}")
    return value
