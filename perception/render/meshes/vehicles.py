"""All vehicles: which kinds there are, what they look like, how the cars among them differ."""

from dataclasses import replace

from perception.render.meshes.parts.car import Car, CarForm
from perception.render.meshes.parts.lorries import draw_lorry
from perception.render.meshes.parts.wheels import draw_livery, draw_paint
from perception.render.meshes.solids import MeshOf, rigid, tinted
from perception.render.records import CityId, Mesh
from perception.render.world.chance import Chance

VEHICLE_KINDS = {  # kind -> how often
    "sedan": 28.0, "hatchback": 32.0, "suv": 28.0, "van": 14.0, "truck": 11.0, "bus": 7.0,
}  # fmt: skip
FORMS = {
    "sedan": CarForm(
        length=4.70, width=1.83, height=1.45, front_axle=0.92, rear_axle=3.70, wheel=0.33,
        sill=0.20, waist=0.74, nose=0.72, hood=0.79, cowl=(1.42, 0.98), rear=(4.02, 1.03),
        deck=(4.62, 1.00), roof=(2.10, 3.30), windows=0.86,
    ),
    "hatchback": CarForm(
        length=4.12, width=1.78, height=1.49, front_axle=0.82, rear_axle=3.40, wheel=0.32,
        sill=0.20, waist=0.74, nose=0.74, hood=0.82, cowl=(1.12, 1.00), rear=(4.00, 1.04),
        deck=(4.06, 1.01), roof=(1.80, 3.55), windows=0.84,
    ),
    "suv": CarForm(
        length=4.55, width=1.87, height=1.69, front_axle=0.88, rear_axle=3.56, wheel=0.36,
        sill=0.27, waist=0.84, nose=0.88, hood=0.97, cowl=(1.25, 1.12), rear=(4.40, 1.17),
        deck=(4.48, 1.14), roof=(1.92, 3.92), windows=0.86,
    ),
    "van": CarForm(
        length=4.95, width=1.94, height=1.96, front_axle=0.92, rear_axle=4.00, wheel=0.34,
        sill=0.24, waist=0.82, nose=0.88, hood=0.98, cowl=(0.80, 1.14), rear=(4.88, 1.16),
        deck=(4.90, 1.12), roof=(1.62, 4.76), windows=0.93,
    ),
}  # fmt: skip


def draw_vehicle(chance: Chance, kind: str) -> tuple[dict[str, str], MeshOf]:
    """What can be told of a vehicle, and its mesh.

    Args:
        chance: of this vehicle.
        kind: one of `VEHICLE_KINDS`.
    """
    if kind in {"truck", "bus"}:
        return draw_lorry(chance, kind)
    word, paint = draw_paint(chance)
    form = _vary(FORMS[kind], chance)
    if kind == "van" and chance.flag(0.5):
        form = replace(form, windows=0.36)  # a delivery van
    clad = kind == "suv" or chance.flag(0.1)
    second = (0.012, 0.012, 0.012) if clad else tinted(paint, 0.92)
    livery = draw_livery(chance, CityId.CAR, paint, second)

    def build(detail: int) -> Mesh:
        return Car(form, livery).build(detail)

    return {"kind": kind, "colour": word}, rigid(build)


def _vary(form: CarForm, chance: Chance) -> CarForm:
    """A form of the same kind: all places and heights scaled a little, the roof moved."""
    along, across, up = (
        chance.uniform(0.95, 1.06),
        chance.uniform(0.97, 1.03),
        chance.uniform(0.97, 1.05),
    )
    front, back = chance.uniform(-0.08, 0.08), chance.uniform(-0.12, 0.10)

    def place(pair: tuple[float, float]) -> tuple[float, float]:
        return (pair[0] * along, pair[1] * up)

    return CarForm(
        length=form.length * along, width=form.width * across, height=form.height * up,
        front_axle=form.front_axle * along, rear_axle=form.rear_axle * along,
        wheel=form.wheel * chance.uniform(0.96, 1.05), sill=form.sill, waist=form.waist * up,
        nose=form.nose * up, hood=form.hood * up, cowl=place(form.cowl), rear=place(form.rear),
        deck=place(form.deck), windows=form.windows,
        roof=((form.roof[0] + front) * along, (form.roof[1] + back) * along),
    )  # fmt: skip
