"""The error family: one exit code each, and array checks that say what was expected and what came."""

import numpy as np
import pytest

from perception.core.errors import (
    ConfigError,
    EngineError,
    ExitCode,
    InputError,
    OutputError,
    PerceptionError,
    RunError,
    check_array,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(ConfigError, 2, id="wrong usage"),
        pytest.param(InputError, 3, id="input"),
        pytest.param(EngineError, 4, id="engine"),
        pytest.param(OutputError, 1, id="output"),
        pytest.param(RunError, 1, id="while running"),
        pytest.param(PerceptionError, 1, id="base"),
    ],
)
def test_every_error_ends_the_command_line_with_its_own_code(error, code):
    assert error("x").exit_code == code
    assert issubclass(error, PerceptionError)


def test_an_interrupt_ends_with_the_code_of_the_shell():
    assert ExitCode.INTERRUPTED == 128 + 2


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((2, 4), id="exact"),
        pytest.param((None, 4), id="first axis free"),
        pytest.param((None, None), id="all free"),
    ],
)
def test_an_array_of_the_promised_shape_passes(shape):
    check_array("boxes", np.zeros((2, 4), np.float32), np.float32, shape)


@pytest.mark.parametrize(
    ("array", "got"),
    [
        pytest.param(np.zeros((2, 4), np.float64), r"float64\[2, 4\]", id="other dtype"),
        pytest.param(np.zeros((2, 5), np.float32), r"float32\[2, 5\]", id="other length"),
        pytest.param(np.zeros(4, np.float32), r"float32\[4\]", id="too few axes"),
        pytest.param(np.zeros((1, 2, 4), np.float32), r"float32\[1, 2, 4\]", id="too many axes"),
    ],
)
def test_a_wrong_array_is_named_with_what_was_expected_and_what_came(array, got):
    with pytest.raises(ValueError, match=rf"boxes: expected float32\[\*, 4\], got {got}"):
        check_array("boxes", array, np.float32, (None, 4))
