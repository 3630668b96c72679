"""What puts the scenes of one source on the road, whatever size its frames have, and watches the mounting meanwhile."""

from dataclasses import replace

import numpy as np

from perception.core.camera import Camera
from perception.core.types import Float64, Scene
from perception.stages.ground.locate import BORDER_PX, Corridor, locate
from perception.stages.ground.mounting import MountingWatch
from perception.stages.ground.plane import DEFAULT_SIGMAS, RoadPlane, Sigmas


class Locator:
    """Puts scenes on the road. One thread calls; any may ask for the watch's findings.

    Args:
        name: of the camera, for the log.
        camera: as its file gives it; frames of another size of the same shape are no matter.
        road_class: index of the road in the class map; ``None``: the engine knows no road.
        vehicle_class: index of the vehicles among the boxes; ``None``: the mounting is not watched.
        size_wh: of the frames, px, where known: an error of the camera then shows at once.
        sigmas: where the camera's file states none.

    Attributes:
        watch: of the mounting.

    Raises:
        ConfigError: nobody measured how the camera is mounted, or the frames have another shape.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        road_class: int | None,
        vehicle_class: int | None,
        *,
        size_wh: tuple[int, int] | None = None,
        sigmas: Sigmas = DEFAULT_SIGMAS,
    ) -> None:
        self._camera, self._sigmas = camera, sigmas
        self._road, self._vehicle = road_class, vehicle_class
        self.watch = MountingWatch(name)
        self._fit(size_wh or camera.size_wh)

    def locate(self, scene: Scene) -> Scene:
        """The scene with `Scene.ground`.

        Raises:
            ConfigError: the frame has another shape than the camera.
        """
        if scene.frame.size_wh != self._plane.camera.size_wh:
            self._fit(scene.frame.size_wh)
        ground = locate(scene, self._plane, self._corridor, self._road)
        self._look(scene)
        return replace(scene, ground=ground)

    def _fit(self, size_wh: tuple[int, int]) -> None:
        camera = self._camera if size_wh == self._camera.size_wh else self._camera.scaled(size_wh)
        self._plane = RoadPlane(camera, self._sigmas)
        self._corridor = Corridor(self._plane)

    def _look(self, scene: Scene) -> None:
        if self._vehicle is not None and len(scene.detections):
            self.watch.look(whole_vehicles(scene, self._vehicle), self._plane)


def whole_vehicles(scene: Scene, vehicle_class: int) -> Float64:
    """``float64[K, 4]``, px: boxes of vehicles whose feet the frame does not cut; also of feet above the horizon, as a wrong pitch puts them there."""
    found = scene.detections
    whole = found.boxes_xyxy[:, 3] < scene.frame.size_wh[1] - BORDER_PX
    chosen = found.boxes_xyxy[(found.class_ids == vehicle_class) & whole]
    return np.asarray(chosen, np.float64)
