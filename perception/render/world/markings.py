"""What is painted on the road: rectangles in (along, lateral), some of them cut into dashes. Labels and picture come from the same ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perception.core.types import Float32, Float64, Int64, UInt8
from perception.render.records import Marking

LINE_M = 0.14  # width of a line
CROSSING_M = 3.6  # length of a zebra crossing along the road
CORNER_M = 4.0  # radius of the kerb where roads meet
STOP_M = 0.45  # width of a stop line

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A painted rectangle.

    Attributes:
        kind: what it stands for.
        along_m: from, to.
        lateral_m: right, left.
        period_m: of its dashes, the first begins where the rectangle does; 0 for a solid one.
        dash_m: length of a dash.
        across: dashes follow each other to the left (from the right end on) instead of along the road: the stripes of a zebra crossing.
    """

    kind: Marking
    along_m: Span
    lateral_m: Span
    period_m: float = 0.0
    dash_m: float = 0.0
    across: bool = False


@dataclass(frozen=True, slots=True)
class Junction:
    """A place where side roads meet the road, at right angles to the world's x axis, or only people cross it.

    Attributes:
        along_m: of the middle.
        half_width_m: of the side roads; 0 where there are none.
        left, right: whether there is a side road.
        crossing: whether there is a zebra crossing: before the junction, or at its middle where there are no side roads.
        signals: whether traffic lights rule it.
    """

    along_m: float
    half_width_m: float
    left: bool
    right: bool
    crossing: bool
    signals: bool = False

    @property
    def crossing_m(self) -> Span:
        """Where the zebra crossing is, along the road."""
        middle = self.along_m
        if self.half_width_m > 0:
            middle -= self.half_width_m + CORNER_M + 0.6 + CROSSING_M / 2
        return middle - CROSSING_M / 2, middle + CROSSING_M / 2

    @property
    def clear_m(self) -> Span:
        """Where nobody parks and nothing stands in the way, along the road."""
        first = self.crossing_m[0] if self.crossing else self.along_m - self.half_width_m - CORNER_M
        last = self.along_m + self.half_width_m + CORNER_M
        if not self.half_width_m:
            last = self.crossing_m[1]
        return first - 5.0, last + 5.0

    @property
    def stop_m(self) -> Span:
        """Where vehicles of the road wait: those of the ego's direction, the oncoming."""
        if not self.half_width_m:
            return self.crossing_m[0] - 1.2, self.crossing_m[1] + 1.2
        edge = self.half_width_m + CORNER_M
        first = self.crossing_m[0] if self.crossing else self.along_m - edge
        return first - 1.2, self.along_m + edge + 1.2


def _between(span: Span, holes: Iterable[Span]) -> list[Span]:
    """What is left of a span without the holes, in order."""
    rest: list[Span] = []
    start, end = span
    for first, last in sorted(holes):
        if first > start:
            rest.append((start, min(first, end)))
        start = max(start, last)
    if start < end:
        rest.append((start, end))
    return [(a, b) for a, b in rest if b - a > 0.5]


def _holes(junctions: Sequence[Junction], corner_m: float, side: str = "") -> list[Span]:
    """Where lines along the road stop: at side roads (of one side, if given) and crossings."""
    holes: list[Span] = []
    for junction in junctions:
        roads = getattr(junction, side) if side else junction.half_width_m > 0
        if roads:
            reach = junction.half_width_m + corner_m
            holes.append((junction.along_m - reach, junction.along_m + reach))
        if junction.crossing:
            first, last = junction.crossing_m
            holes.append((first - 0.5, last + 0.5))
    return holes


def _centre(extent: Span, junctions: Sequence[Junction], lanes: int) -> list[Line]:
    """The line between the directions: solid with two lanes a direction, or near junctions and crossings."""
    half = LINE_M / 2
    solid = Line(Marking.CENTRE_SOLID, extent, (-half, half))
    holes = _holes(junctions, 1.0)
    if lanes > 1:
        return [replace(solid, along_m=span) for span in _between(extent, holes)]
    near = [(j.clear_m[0] - 20.0, j.clear_m[1] + 20.0) for j in junctions]
    lines = [
        Line(Marking.CENTRE, span, (-half, half), 9.0, 4.5)
        for span in _between(extent, [*near, *holes])
    ]
    far = _between(extent, near)
    return lines + [replace(solid, along_m=span) for span in _between(extent, [*far, *holes])]


def _side_roads(junction: Junction, edge_m: float) -> list[Line]:
    """Stop line and centre line of the side roads."""
    lines = []
    middle, reach = junction.along_m, junction.half_width_m - 0.15
    start = edge_m + CORNER_M
    for there, sign in ((junction.left, 1.0), (junction.right, -1.0)):
        if not there:
            continue
        wait = (start, start + STOP_M) if sign > 0 else (-start - STOP_M, -start)
        lane = (middle - reach, middle - 0.2) if sign > 0 else (middle + 0.2, middle + reach)
        lines.append(Line(Marking.STOP, lane, wait))
        run = (start + STOP_M, start + 72.0) if sign > 0 else (-start - 72.0, -start - STOP_M)
        narrow = (middle - LINE_M / 2, middle + LINE_M / 2)
        lines.append(Line(Marking.CENTRE, narrow, run, 6.0, 3.0, across=True))
    return lines


def _across(junction: Junction, edge_m: float, lanes_m: float) -> list[Line]:
    """Zebra crossing and stop lines of the road itself."""
    lines = []
    if junction.crossing:
        zebra = Line(
            Marking.CROSSING, junction.crossing_m, (-edge_m, edge_m), 1.0, 0.5, across=True
        )
        lines.append(zebra)
    if junction.crossing or junction.signals:
        ours, theirs = junction.stop_m
        lines.append(Line(Marking.STOP, (ours, ours + STOP_M), (-lanes_m + 0.3, -0.2)))
        lines.append(Line(Marking.STOP, (theirs - STOP_M, theirs), (0.2, lanes_m - 0.3)))
    return lines


def build_lines(
    extent: Span, junctions: Sequence[Junction], lanes: int, lane_width_m: float, edge_m: float
) -> tuple[Line, ...]:
    """All that is painted.

    Args:
        extent: of the road.
        junctions: in order.
        lanes: of one direction.
        lane_width_m: of each.
        edge_m: half the width of the carriageway in town, or in the country where there is no town.
    """
    lanes_m = lanes * lane_width_m
    lines = _centre(extent, junctions, lanes)
    for sign, side in ((1, "left"), (-1, "right")):
        for k in range(1, lanes):
            band = (sign * k * lane_width_m - LINE_M / 2, sign * k * lane_width_m + LINE_M / 2)
            spans = _between(extent, _holes(junctions, 1.0))
            lines += [Line(Marking.LANE, span, band, 12.0, 4.0) for span in spans]
        middle = sign * lanes_m
        band = (middle - LINE_M / 2, middle + LINE_M / 2)
        spans = _between(extent, _holes(junctions, CORNER_M, side))
        lines += [Line(Marking.EDGE, span, band) for span in spans]
    for junction in junctions:
        lines += _side_roads(junction, edge_m)
        lines += _across(junction, edge_m, lanes_m)
    return tuple(lines)


class MarkingMap:
    """Which marking covers a place; lines that share their lateral range are looked up together, which is what makes it fast.

    Args:
        lines: of the road; where two overlap, the later one counts.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        strips: dict[tuple[Marking, Span, float, float], list[Span]] = {}
        self._patches = [line for line in lines if line.across or line.kind == Marking.STOP]
        for line in lines:
            if not line.across and line.kind != Marking.STOP:
                key = (line.kind, line.lateral_m, line.period_m, line.dash_m)
                strips.setdefault(key, []).append(line.along_m)
        self._strips = [(key, np.array(sorted(spans))) for key, spans in strips.items()]

    def at(self, along: Float32 | Float64, lateral: Float32 | Float64) -> UInt8:
        """Look places up.

        Args:
            along: ``float[...]``, m.
            lateral: the same shape, m.

        Returns:
            ``uint8[...]`` of `Marking`.
        """
        flat_along, flat_lateral = along.reshape(-1), lateral.reshape(-1)
        found = np.zeros(flat_along.shape, np.uint8)
        if not flat_along.size:
            return found.reshape(along.shape)
        near, far = float(flat_along.min()), float(flat_along.max())
        for (kind, (right, left), period, dash), spans in self._strips:
            rows = np.flatnonzero((flat_lateral >= right) & (flat_lateral < left))
            found[rows[_on_strip(flat_along[rows], spans, period, dash)]] = kind
        for line in self._patches:
            if line.along_m[1] >= near and line.along_m[0] <= far:
                found[_on_patch(flat_along, flat_lateral, line)] = line.kind
        return found.reshape(along.shape)


def _on_strip(along: Float32 | Float64, spans: Float64, period: float, dash: float) -> Int64:
    """Indices of the places within one of the spans and, where dashed, on a dash."""
    starts, ends = spans[:, 0], spans[:, 1]
    which = np.maximum(np.searchsorted(starts, along, side="right") - 1, 0)
    since = along - starts[which]
    on = (since >= 0) & (along < ends[which])
    if period:
        on &= since - np.floor(since / period) * period < dash
    return np.flatnonzero(on)


def _on_patch(along: Float32 | Float64, lateral: Float32 | Float64, line: Line) -> Int64:
    """Indices of the places on one rectangle."""
    rows = np.flatnonzero((along >= line.along_m[0]) & (along < line.along_m[1]))
    beside = lateral[rows]
    on = (beside >= line.lateral_m[0]) & (beside < line.lateral_m[1])
    if line.period_m:
        since = beside - line.lateral_m[0] if line.across else along[rows] - line.along_m[0]
        on &= since - np.floor(since / line.period_m) * line.period_m < line.dash_m
    return rows[on]


__all__ = ["CORNER_M", "Junction", "Line", "MarkingMap", "build_lines"]
