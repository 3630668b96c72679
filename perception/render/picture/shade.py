"""The colours of a picture, before the camera: light that arrives from each pixel's direction."""

import cv2
import numpy as np

from perception.core.types import Float32
from perception.render.picture.looks.ground import paint_ground
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.picture.looks.materials import paint_things
from perception.render.picture.looks.rain import add_drops, add_mirror, add_streaks
from perception.render.picture.looks.sky import paint_sky

EDGE_MOST = np.float32(4)  # lamps brighter than this would outshine their edge


def shade_picture(inputs: PictureInputs) -> Float32:
    """Light that comes from each pixel, ``float32[H, W, 3]``, linear BGR; 1 is a white wall by day."""
    width, height = inputs.view.size_wh
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = inputs.light.fog
    ground = paint_ground(inputs)
    open_sky = ~inputs.ground.seen & (inputs.raster.face == 0)
    bottom = int(np.flatnonzero(open_sky.any(axis=1)).max(initial=-1)) + 1
    if bottom:
        picture[:bottom] = paint_sky(inputs, bottom)
    if ground is not None:
        seen = inputs.ground.seen[ground.top :].astype(np.uint8)
        cv2.copyTo(ground.light, seen, picture[ground.top :])
    pixels, colours = paint_things(inputs)
    picture.reshape(-1, 3)[pixels] = colours
    if inputs.config.optics.supersampling == 1:
        picture = _soften_edges(picture, inputs)
    if ground is not None:
        add_mirror(picture, inputs, ground)
    _add_fog(picture, inputs)
    add_streaks(picture, inputs)
    add_drops(picture, inputs)
    return picture


def _soften_edges(picture: Float32, inputs: PictureInputs) -> Float32:
    """Blend pixels with their neighbours where one face ends and another begins: one ray a pixel leaves stairs."""
    code = inputs.raster.face.astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    edge = cv2.compare(cv2.dilate(code, kernel), cv2.erode(code, kernel), cv2.CMP_NE)
    soft = cv2.GaussianBlur(np.minimum(picture, EDGE_MOST), (3, 3), 0.75)
    cv2.copyTo(soft, edge, picture)
    return picture


def _add_fog(picture: Float32, inputs: PictureInputs) -> None:
    """Fade things and ground with distance (Koschmieder, 1924), in place."""
    near = np.where(inputs.ground.seen, inputs.ground.depth_m, 0).astype(np.float32)
    np.divide(1, inputs.raster.inverse_depth, out=near, where=inputs.raster.face > 0)
    kept = np.exp(near * np.float32(-inputs.light.fog_per_m))
    fog = np.array([*inputs.light.fog.tolist(), 0.0])
    cv2.subtract(picture, fog, dst=picture)
    cv2.multiply(picture, cv2.merge([kept, kept, kept]), dst=picture)
    cv2.add(picture, fog, dst=picture)


__all__ = ["PictureInputs", "shade_picture"]
