"""What a synthetic drive is made of. Two drives of one configuration are the same, frame by frame and label by label."""

from dataclasses import dataclass, field
from typing import Literal

from perception.core.errors import ConfigError

Place = Literal["town", "country", "mixed"]


def _check(name: str, value: float, low: float, high: float) -> None:
    """Raise `ConfigError` unless ``low <= value <= high``."""
    if not low <= value <= high:
        raise ConfigError(f"drive: {name}: expected {low:g} to {high:g}, got {value:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LightConfig:
    """The sun. Below the horizon it is night: street lamps, head lamps and lit windows take over.

    Attributes:
        elevation_deg: of the sun at the first frame, above the horizon.
        end_elevation_deg: at the last frame; ``None`` keeps the first.
        azimuth_deg: where the sun stands, from straight ahead at the start to the left.
    """

    elevation_deg: float = 38.0
    end_elevation_deg: float | None = None
    azimuth_deg: float = 60.0

    def __post_init__(self) -> None:
        _check("light.elevation_deg", self.elevation_deg, -90, 90)
        if self.end_elevation_deg is not None:
            _check("light.end_elevation_deg", self.end_elevation_deg, -90, 90)
        _check("light.azimuth_deg", self.azimuth_deg, -360, 360)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherConfig:
    """What is in the air.

    Attributes:
        clouds: in [0, 1]; 1 is overcast, without shadows.
        rain: in [0, 1]: wet road, streaks, drops on the lens.
        visibility_m: distance at which contrast has fallen to 5 %.
    """

    clouds: float = 0.3
    rain: float = 0.0
    visibility_m: float = 4000.0

    def __post_init__(self) -> None:
        _check("weather.clouds", self.clouds, 0, 1)
        _check("weather.rain", self.rain, 0, 1)
        _check("weather.visibility_m", self.visibility_m, 0, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpticsConfig:
    """How the camera takes the picture. Labels are of the moment in the middle of the exposure.

    Attributes:
        shake: of the mounting, 1 is a usual car on a usual road: pitch, roll and height.
        exposure_ms: motion blur; 0 for none, and no more than the time from frame to frame.
        noise: of the sensor, 1 is a usual one by day.
        readout_ms: rolling shutter: time from the first to the last row; 0 for a global shutter.
        supersampling: rays along each side of a pixel; labels stay at one ray a pixel, through its centre.
    """

    shake: float = 1.0
    exposure_ms: float = 6.0
    noise: float = 1.0
    readout_ms: float = 0.0
    supersampling: int = 1

    def __post_init__(self) -> None:
        _check("optics.shake", self.shake, 0, 10)
        _check("optics.exposure_ms", self.exposure_ms, 0, 1000)
        _check("optics.noise", self.noise, 0, 10)
        _check("optics.readout_ms", self.readout_ms, 0, 1000)
        _check("optics.supersampling", self.supersampling, 1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """The camera.

    Attributes:
        file: path of a camera file, or the name of one in ``calib/cameras``; empty for a pinhole of the values below.
        size_wh: px of the frames; a camera file must have the same shape.
        horizontal_fov_deg: of the pinhole.
        height_m: above the road.
        pitch_deg: positive looks up.
    """

    file: str = ""
    size_wh: tuple[int, int] = (1248, 384)
    horizontal_fov_deg: float = 81.5
    height_m: float = 1.42
    pitch_deg: float = -2.5

    def __post_init__(self) -> None:
        for side in self.size_wh:
            _check("camera.size_wh", side, 16, 8192)
        _check("camera.horizontal_fov_deg", self.horizontal_fov_deg, 1, 170)
        _check("camera.height_m", self.height_m, 0.1, 10)
        _check("camera.pitch_deg", self.pitch_deg, -60, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveConfig:
    """One drive.

    Attributes:
        seed: of everything random in this drive.
        cast_seed: of the vehicles and people that drives draw from: drives of one cast meet the same ones again.
        duration_s: of the drive.
        fps: frames a second; what happens does not depend on it.
        place: where the road leads; ``mixed`` starts in town and ends in the country.
        vehicles: about how many are near at a time, parked ones besides.
        people: the same, cyclists included.
    """

    seed: int = 0
    cast_seed: int = 0
    duration_s: float = 20.0
    fps: float = 10.0
    place: Place = "mixed"
    vehicles: int = 9
    people: int = 6
    camera: CameraConfig = field(default_factory=CameraConfig)
    light: LightConfig = field(default_factory=LightConfig)
    weather: WeatherConfig = field(default_factory=WeatherConfig)
    optics: OpticsConfig = field(default_factory=OpticsConfig)

    def __post_init__(self) -> None:
        _check("seed", self.seed, 0, 2**63 - 1)
        _check("cast_seed", self.cast_seed, 0, 2**63 - 1)
        _check("fps", self.fps, 0.01, 1000)
        _check("duration_s", self.duration_s, 0.001, 86_400)
        _check("vehicles", self.vehicles, 0, 60)
        _check("people", self.people, 0, 60)

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return max(1, round(self.duration_s * self.fps))
