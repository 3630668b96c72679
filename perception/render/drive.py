"""A drive, frame by frame: the only place with the order of the steps."""

from math import pi

import cv2
import numpy as np

from perception.core.camera import Camera
from perception.core.types import Float32
from perception.render.config import DriveConfig
from perception.render.labels import build_labels, surfaces
from perception.render.picture.light import build_light
from perception.render.picture.optics import develop
from perception.render.picture.place import find_ground
from perception.render.picture.polygons import Placed
from perception.render.picture.raster import draw
from perception.render.picture.shade import PictureInputs, shade_picture
from perception.render.picture.view import View, build_camera, build_view, shaken
from perception.render.records import Faces, FrameLabels, Ground, Raster, RenderedFrame, Snapshot
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
        now, following = self._snapshot(index), self._snapshot(index + 1)
        self._latest = {index: now, index + 1: following}
        view, view_next = self._view(now), self._view(following)
        placed = _pair(now, following)

        raster, faces = draw(placed, view, view_next)
        ground = find_ground(view, self._world.road, raster)
        labels = build_labels(
            now, placed, self._world.road, (view, view_next), raster, faces, ground
        )
        linear = self._shade(index, now, placed, (view, view_next), (raster, faces, ground))
        light = build_light(self.config, now.time_s)
        image = develop(linear, labels.flow_px, labels.depth_m, light, self.config, index)
        return self._warped(RenderedFrame(index, image, labels))

    def labels(self, index: int) -> FrameLabels:
        """The labels of frame `index` alone, without its picture, before the lens: for tests of what they depend on."""
        now, following = self._snapshot(index), self._snapshot(index + 1)
        views = self._view(now), self._view(following)
        placed = _pair(now, following)
        raster, faces = draw(placed, *views)
        ground = find_ground(views[0], self._world.road, raster)
        return build_labels(now, placed, self._world.road, views, raster, faces, ground)

    def _snapshot(self, index: int) -> Snapshot:
        found = self._latest.get(index)
        return found or self._world.at(index / self.config.fps)

    def _view(self, snapshot: Snapshot) -> View:
        camera = shaken(self._pinhole, self.config.optics.shake, snapshot.time_s, self._shake_phase)
        return build_view(camera, snapshot.ego)

    def _shade(
        self,
        index: int,
        now: Snapshot,
        placed: list[Placed],
        views: tuple[View, View],
        seen: tuple[Raster, Faces, Ground],
    ) -> Float32:
        """``float32[H, W, 3]``, linear light; with several rays a pixel where the configuration asks for it."""
        factor = self.config.optics.supersampling
        view, view_next = (v.finer(factor) for v in views)
        raster, faces, ground = seen
        if factor > 1:
            raster, faces = draw(placed, view, view_next)
            ground = find_ground(view, self._world.road, raster)
        class_ids, lanes = surfaces(self._world.road, raster, faces, ground)
        linear = shade_picture(
            PictureInputs(
                view=view,
                snapshot=now,
                things=placed,
                road=self._world.road,
                raster=raster,
                faces=faces,
                ground=ground,
                class_ids=class_ids,
                lanes=lanes,
                light=build_light(self.config, now.time_s),
                config=self.config,
                index=index,
            )
        )
        if factor == 1:
            return linear
        small = cv2.resize(linear, views[0].size_wh, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32)

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
