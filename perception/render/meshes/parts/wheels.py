"""Wheels of cars and lorries, and what all vehicles have: lamps, plates, paint."""

from dataclasses import dataclass

from perception.render.meshes.solids import Colour, Look, Point, Solid, linear, tinted, turns
from perception.render.records import CityId, Material
from perception.render.world.chance import Chance

PAINTS = {  # word -> how often, and the colours that it stands for
    "white": (24.0, (0xF2F2EF, 0xE9EBEC, 0xE4E2DA)),
    "black": (20.0, (0x1B1C1E, 0x242526, 0x17181C)),
    "grey": (18.0, (0x5D6266, 0x4A4E52, 0x6E7275)),
    "silver": (14.0, (0xB4B9BC, 0xC3C6C8, 0xA5AAAD)),
    "blue": (9.0, (0x1F3F7A, 0x24508F, 0x1B2F52, 0x4C7FB0)),
    "red": (7.0, (0x9C1B1E, 0xB3262A, 0x6E1418)),
    "green": (2.5, (0x27452F, 0x3C5A3B, 0x5B6B4A)),
    "brown": (3.0, (0x5B4433, 0x8A7A62, 0xA8997C)),
    "yellow": (1.5, (0xE0B21C, 0xD98A1A)),
}


@dataclass(frozen=True, slots=True)
class Livery:
    """The looks of one vehicle.

    Attributes:
        paint, second: of the body, and of the parts of another colour (cladding, cargo box, band).
        glass, dark, tyre, rim: as named.
        head, tail, plate: lamps and number plates.
    """

    paint: Look
    second: Look
    glass: Look
    dark: Look
    tyre: Look
    rim: Look
    head: Look
    tail: Look
    plate: Look


def draw_livery(chance: Chance, class_id: CityId, paint: Colour, second: Colour) -> Livery:
    """Looks of a vehicle; what is not given is drawn.

    Args:
        chance: of this vehicle.
        class_id: of all its faces.
        paint: colour of the body.
        second: colour of the other parts.
    """

    def look(rgb: int, material: Material = Material.MATT) -> Look:
        return Look(linear(rgb), material, class_id)

    rim = chance.choice((0xA9ADB0, 0x8E9295, 0x3B3D40, 0xBFC3C6), (4.0, 3.0, 2.0, 2.0))
    plate = chance.choice((0xE8E8E2, 0xE6C744), (4.0, 1.0))
    return Livery(
        paint=Look(paint, Material.PAINT, class_id),
        second=Look(second, Material.PAINT, class_id),
        glass=look(0x20262A, Material.GLASS),
        dark=look(0x18191A),
        tyre=look(0x1D1D1E),
        rim=look(rim),
        head=look(0xDFE3E6, Material.HEAD_LAMP),
        tail=look(0x8C1414, Material.TAIL_LAMP),
        plate=look(plate),
    )


def draw_paint(chance: Chance) -> tuple[str, Colour]:
    """A colour as people order it, and its word."""
    word = chance.choice(tuple(PAINTS), tuple(often for often, _ in PAINTS.values()))
    return word, tinted(linear(chance.choice(PAINTS[word][1])), chance.uniform(0.88, 1.1))


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of the left side; the right one is its mirror image.

    Attributes:
        x_m: of the axle.
        outer_m: y of its outer side.
        radius_m, width_m: of the tyre.
    """

    x_m: float
    outer_m: float
    radius_m: float
    width_m: float

    def ring(self, share: float, y: float, count: int, start: float = 0.0) -> list[Point]:
        """Points about the axle, counter-clockwise as seen from the left.

        Args:
            share: of the tyre's radius.
            y: of the ring.
            count: of points.
            start: turn of the first, in steps.
        """
        radius = self.radius_m * share
        return [
            (self.x_m + radius * sine, y, self.radius_m - radius * cosine)
            for cosine, sine in ((c, -s) for c, s in turns(count, start))
        ]


def add_wheels(solid: Solid, wheel: Wheel, livery: Livery, detail: int) -> None:
    """Add a wheel and the one across the axle.

    Detail 2 has a round tyre with a rim, detail 1 eight corners of which the lower ones have depth, detail 0 a box.
    """
    if detail == 0:
        r, y = wheel.radius_m, wheel.outer_m
        for low, high in ((y - wheel.width_m, y), (-y, wheel.width_m - y)):
            solid.box(
                (wheel.x_m - 0.75 * r, low, 0.0), (wheel.x_m + 0.75 * r, high, 1.4 * r),
                livery.tyre, {"+z": None, "-z": None},
            )  # fmt: skip
        return
    count = 12 if detail == 2 else 8
    outer = wheel.ring(1.0, wheel.outer_m, count)
    inner = wheel.ring(1.0, wheel.outer_m - wheel.width_m, count)
    treads = range(-3, 5) if detail == 2 else range(-1, 3)  # the body hides those above
    for index in treads:
        solid.pair([inner[index - 1], inner[index], outer[index], outer[index - 1]], livery.tyre)
    for points in (outer, [(x, -y, z) for x, y, z in outer]):
        facing = points if points is outer else list(reversed(points))
        solid.disc(facing, livery.tyre)
    rim = wheel.ring(0.68, wheel.outer_m + 0.004, 8 if detail == 2 else 6, 0.5)
    solid.pair(rim, livery.rim)
    if detail == 2:
        solid.disc(list(reversed(inner)), livery.tyre)
        solid.disc([(x, -y, z) for x, y, z in inner], livery.tyre)
        gaps = wheel.ring(0.56, wheel.outer_m + 0.009, 10)
        hub = wheel.ring(0.16, wheel.outer_m + 0.009, 5, 0.5 - 0.25)
        for index in range(5):
            solid.pair([hub[index], gaps[2 * index], gaps[2 * index + 1]], livery.dark)
