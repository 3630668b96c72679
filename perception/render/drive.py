"""A drive, frame by frame: the only place with the order of the steps."""

from math import pi

import cv2
import numpy as np

from perception.core.camera import Camera
from perception.render.config import DriveConfig
from perception.render.labels import build_labels, surfaces
from perception.render.picture.light import build_light
from perception.render.picture.optics import develop
from perception.render.picture.place import find_ground
from perception.render.picture.polygons import Placed
from perception.render.picture.raster import draw
from perception.render.picture.shade import PictureInputs, shade_picture
from perception.render.picture.view import View, build_camera, build_view, shaken
from perception.render.records import FrameLabels, RenderedFrame, Snapshot
from perception.render.warp import lens_warp, shutter_warp, warp_frame
from perception.render.world.chance import Chance
from perception.render.world.world import World


class Drive:
    """One synthetic drive. Any frame can be asked for at any time; in order is fastest.

    Args:
        config: of the drive.

    Attributes:
        camera: at rest, at the size of the frames.
        frames: how many there are.
    """

    def __init__(self, config: DriveConfig) -> None:
        self.config = config
        self.camera: Camera = build_camera(config.camera)
        self.frames = config.frames
        self._pinhole, self._lens = lens_warp(self.camera)
        self._world = World(config)
        self._shake_phase = Chance(config.seed, "shake").uniform(0, 2 * pi)
        self._latest: dict[int, Snapshot] = {}

    def render(self, index: int) -> RenderedFrame:
        """Frame `index` and its labels."""
        inputs, view_next = self._see(index)
        labels = build_labels(inputs, view_next)
        factor = self.config.optics.supersampling
        linear = shade_picture(inputs if factor == 1 else self._see(index, factor)[0])
        if factor > 1:
            small = cv2.resize(linear, inputs.view.size_wh, interpolation=cv2.INTER_AREA)
            linear = np.asarray(small, np.float32)
        image = develop(linear, labels.flow_px, inputs.light, self.config, index)
        return self._warped(RenderedFrame(index, image, labels))

    def labels(self, index: int) -> FrameLabels:
        """The labels of frame `index` alone, without its picture, as the pinhole sees it: before lens and shutter."""
        return build_labels(*self._see(index))

    def _see(self, index: int, factor: int = 1) -> tuple[PictureInputs, View]:
        """What the rays of frame `index` meet, `factor` of them along each side of a pixel, and the view of the next frame."""
        now, following = self._snapshot(index), self._snapshot(index + 1)
        self._latest = {index: now, index + 1: following}
        view, view_next = (self._view(moment).finer(factor) for moment in (now, following))
        road, placed = self._world.road, _pair(now, following)
        raster, faces = draw(placed, view, view_next)
        ground = find_ground(view, road, raster)
        class_ids, lanes = surfaces(road, raster, faces, ground)
        inputs = PictureInputs(
            view=view,
            snapshot=now,
            things=placed,
            road=road,
            raster=raster,
            faces=faces,
            ground=ground,
            class_ids=class_ids,
            lanes=lanes,
            light=build_light(self.config, now.time_s),
            config=self.config,
            index=index,
        )
        return inputs, view_next

    def _snapshot(self, index: int) -> Snapshot:
        found = self._latest.get(index)
        return found or self._world.at(index / self.config.fps)

    def _view(self, snapshot: Snapshot) -> View:
        camera = shaken(self._pinhole, self.config.optics.shake, snapshot.time_s, self._shake_phase)
        return build_view(camera, snapshot.ego)

    def _warped(self, frame: RenderedFrame) -> RenderedFrame:
        optics = self.config.optics
        if self._lens is not None:
            frame = warp_frame(frame, self._lens)
        if optics.readout_ms:
            readout = optics.readout_ms / 1000 * self.config.fps
            frame = warp_frame(frame, shutter_warp(frame.labels.flow_px, readout))
        return frame


def _pair(now: Snapshot, following: Snapshot) -> list[Placed]:
    """Each thing with its state now and in the next frame; one that is gone by then stays where it is."""
    later = {thing.key: state for thing, state in following.things}
    return [(thing, state, later.get(thing.key, state)) for thing, state in now.things]
