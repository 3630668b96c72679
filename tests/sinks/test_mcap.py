"""An MCAP file, read by the format's own reader."""

import json
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.sinks import open_sink
from perception.sinks.base import SinkContext

CONTEXT = SinkContext(BOX_CLASSES, MAP_CLASSES, 10.0)


@pytest.fixture
def scenes(make_scene):
    return [make_scene(index, stream_s=index / 10) for index in range(3)]


@pytest.fixture
def messages(tmp_path, scenes):
    """Topic -> (time in ns, message) in order."""
    path = tmp_path / "results.mcap"
    with open_sink(f"mcap={path}", CONTEXT) as sink:
        for scene in scenes:
            sink.write(scene)
    found = {}
    with path.open("rb") as file:
        for schema, channel, message in make_reader(file).iter_messages():
            decode = DecoderFactory().decoder_for(channel.message_encoding, schema) or json.loads
            found.setdefault(channel.topic, []).append((message.log_time, decode(message.data)))
    return found


def test_every_topic_has_every_frame_at_the_time_of_the_source(messages):
    assert set(messages) == {"/camera/image", "/camera/found", "/camera/classes", "/results"}
    for entries in messages.values():
        times = [time for time, _ in entries]
        assert [round((time - times[0]) / 1e6) for time in times] == [0, 100, 200]


def test_pictures_are_those_of_the_frames(messages, scenes):
    for (_, got), scene in zip(messages["/camera/image"], scenes, strict=True):
        image = cv2.imdecode(np.frombuffer(got.data, np.uint8), cv2.IMREAD_COLOR)
        assert got.format == "jpeg"
        difference = np.abs(image.astype(int) - scene.frame.image.astype(int)).mean()
        assert difference < 6
    (_, classes), *_ = messages["/camera/classes"]
    coloured = cv2.imdecode(np.frombuffer(classes.data, np.uint8), cv2.IMREAD_COLOR)
    assert coloured.shape == scenes[0].frame.image.shape


def test_boxes_and_road_are_drawn_where_they_were_found(messages, scenes):
    for (_, got), scene in zip(messages["/camera/found"], scenes, strict=True):
        found = scene.detections
        assert len(got.points) == len(scene.road_outline) + len(found)
        assert len(got.texts) == len(found) > 0
        boxes = [[(p.x, p.y) for p in line.points] for line in got.points[-len(found) :]]
        for corners, (x1, y1, x2, y2) in zip(boxes, found.boxes_xyxy.tolist(), strict=True):
            assert corners == [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
        name = BOX_CLASSES[found.class_ids[0]]
        assert got.texts[0].text == f"{name} {found.scores[0]:.2f}"


def test_results_are_whole(messages):
    assert [record["frame_id"] for _, record in messages["/results"]] == [0, 1, 2]
    assert "age_ms" in messages["/results"][0][1]


def test_cameras_have_topics_of_their_own_and_share_the_results(tmp_path, make_scene):
    path = tmp_path / "two.mcap"
    with open_sink(f"mcap={path}", SinkContext(BOX_CLASSES, MAP_CLASSES, None, 2)) as sink:
        for camera in (0, 1, 1):
            scene = make_scene(stream_s=5.0)
            sink.write(replace(scene, frame=replace(scene.frame, camera=camera)))
    counts = Counter()
    with path.open("rb") as file:
        for _, channel, message in make_reader(file).iter_messages():
            counts[channel.topic] += 1
            if channel.topic == "/results":
                counts[json.loads(message.data)["camera"]] += 1
    kinds = ("image", "found", "classes")
    expected = {f"/camera_{n}/{kind}": n + 1 for n in (0, 1) for kind in kinds}
    assert counts == {**expected, "/results": 3, 0: 1, 1: 2}


def test_metres_stand_at_the_boxes_and_in_the_results(tmp_path, make_scene, ground):
    path = tmp_path / "metres.mcap"
    with open_sink(f"mcap={path}", CONTEXT) as sink:
        sink.write(replace(make_scene(), ground=ground))
    with path.open("rb") as file:
        read = {
            channel.topic: (DecoderFactory().decoder_for(channel.message_encoding, schema) or json.loads)(message.data)
            for schema, channel, message in make_reader(file).iter_messages()
        }  # fmt: skip
    assert [text.text for text in read["/camera/found"].texts] == ["vehicle 0.75 23 m"]
    record = read["/results"]
    (box,) = record["boxes"]
    assert (box["ahead_m"], box["right_m"], box["ahead_95_m"]) == (23.4, -1.5, [20.0, 28.0])
    assert record["road_ground_m"] == [[[-4, 6], [4, 6], [4, 55], [-4, 55]]]
    assert (record["free_distance_m"], record["free_distance_ended_by"]) == (21.25, "box")
