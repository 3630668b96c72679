"""The contract of `perception.backends.device.base`, on every binding."""

import threading

import numpy as np
import pytest

from perception.backends.device import open_device
from perception.backends.device.base import DeviceError
from perception.core.errors import ConfigError

pytestmark = [pytest.mark.double, pytest.mark.gpu]


@pytest.fixture
def device(binding):
    with open_device(binding) as opened, opened.current():
        yield opened


def test_a_device_tells_what_it_is(device):
    major, _, minor = device.capability.partition(".")
    assert (major.isdecimal(), minor.isdecimal(), bool(device.gpu)) == (True, True, True)
    free, total = device.free_bytes()
    assert 0 < free <= total


def test_what_is_uploaded_comes_back(device):
    values = np.arange(1000, dtype=np.int32).reshape(10, 100)
    with (
        device.stream() as stream,
        device.pin(values.shape, np.int32) as there,
        device.pin(values.shape, np.int32) as back,
        device.allocate(values.nbytes) as memory,
    ):
        assert not there.array.any()
        there.array[...] = values
        stream.upload(memory, there.array)
        stream.download(back.array, memory)
        stream.synchronize()
        np.testing.assert_array_equal(back.array, values)
        assert stream.handle


def test_a_copy_of_another_length_is_refused(device):
    with (
        device.stream() as stream,
        device.allocate(100) as memory,
        device.pin((99,), "uint8") as host,
    ):
        with pytest.raises(ValueError, match="expected 100 bytes, got 99"):
            stream.upload(memory, host.array)
        with pytest.raises(ValueError, match="expected 99 bytes, got 100"):
            stream.download(host.array, memory)


def test_a_stream_waits_for_an_event_of_another(device, driver):
    with (
        device.stream() as first,
        device.stream() as second,
        device.event() as copied,
        device.pin((8,), np.uint8) as source,
        device.pin((8,), np.uint8) as target,
        device.allocate(8) as memory,
    ):
        source.array[...] = 7
        first.upload(memory, source.array)
        first.record(copied)
        second.wait(copied)
        second.download(target.array, memory)
        second.synchronize()
        assert target.array.tolist() == [7] * 8


def test_a_graph_does_what_was_recorded_at_every_launch_and_not_before(device):
    if not device.stream_type.captures:
        pytest.skip("this binding has no graphs")
    with (
        device.stream() as stream,
        device.pin((8,), np.uint8) as source,
        device.pin((8,), np.uint8) as target,
        device.allocate(8) as memory,
    ):

        def there_and_back():
            stream.upload(memory, source.array)
            stream.download(target.array, memory)

        with stream.capture(there_and_back) as graph:
            stream.synchronize()
            assert not target.array.any()
            for value in (3, 4):
                source.array[...] = value
                graph.launch(stream)
                stream.synchronize()
                assert target.array.tolist() == [value] * 8


def test_what_cannot_be_recorded_is_an_error_and_the_stream_goes_on(device):
    if not device.stream_type.captures:
        with device.stream() as stream, pytest.raises(DeviceError, match="records no graphs"):
            stream.capture(lambda: None)
        return
    with device.stream() as stream:
        with pytest.raises(DeviceError, match="capturing"):
            stream.capture(stream.synchronize)
        stream.synchronize()


def test_without_waiting_the_double_is_as_late_as_a_driver_may_be(device, driver):
    if driver.double is None:
        pytest.skip("a GPU may be early")
    with (
        device.stream() as first,
        device.stream() as second,
        device.pin((8,), np.uint8) as source,
        device.pin((8,), np.uint8) as target,
        device.allocate(8) as memory,
    ):
        source.array[...] = 7
        first.upload(memory, source.array)
        second.download(target.array, memory)
        second.synchronize()
        assert 7 not in target.array.tolist()


def test_events_tell_the_time_between_them(device):
    with (
        device.stream() as stream,
        device.event() as early,
        device.event() as late,
        device.pin((1 << 20,), np.uint8) as host,
        device.allocate(1 << 20) as memory,
    ):
        stream.record(early)
        stream.upload(memory, host.array)
        stream.record(late)
        late.synchronize()
        assert late.elapsed_ms(early) >= 0


def test_more_memory_than_there_is_is_one_clear_error(device):
    _, total = device.free_bytes()
    with pytest.raises(DeviceError, match="out of memory"):
        device.allocate(2 * total)


def test_closing_twice_frees_once(device):
    memory, host, event, stream = (
        device.allocate(10), device.pin((3,), "uint8"), device.event(), device.stream()
    )  # fmt: skip
    for thing in (memory, host, event, stream):
        thing.close()
        thing.close()


def test_another_thread_makes_the_context_current_for_itself(device):
    problems = []

    def work():
        try:
            with device.current(), device.allocate(16):
                pass
        except DeviceError as error:
            problems.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert problems == []


def test_without_a_current_context_it_refuses(binding):
    with open_device(binding) as device, pytest.raises(DeviceError, match="context"):
        device.allocate(16)


def test_two_devices_share_the_primary_context(binding):
    with open_device(binding) as first, open_device(binding) as second:
        with first.current():
            memory = first.allocate(16)
        with second.current():
            memory.close()


def test_a_context_is_current_only_within(binding):
    for _ in range(3):
        with open_device(binding) as device, device.current(), device.current():
            pass
    with open_device(binding) as device, pytest.raises(DeviceError, match="context"):
        device.stream()


def test_a_gpu_that_is_not_there_is_one_clear_error(binding):
    with pytest.raises(DeviceError, match="CUDA, by"):
        open_device(binding, index=99)


def test_no_gpu_at_all_is_one_clear_error(binding, driver, monkeypatch):
    if driver.double is None:
        pytest.skip("there is one")
    monkeypatch.setenv("CUDA_DOUBLE_DEVICES", "0")
    with pytest.raises(DeviceError, match=r"no CUDA-capable device"):
        open_device(binding)


def test_an_unknown_binding_is_refused():
    with pytest.raises(ConfigError, match="unknown CUDA binding 'cupy'"):
        open_device("cupy")
