import math

import pytest

from perception.render.world.chance import Chance


def test_numbers_are_these_on_every_machine():
    chance = Chance(3, "trees", 7)

    drawn = [chance.uniform(), chance.uniform(2.0, 4.0), chance.normal(1.0, 2.0)]

    assert drawn == pytest.approx(
        [0.8380634072185198, 2.1322595945806837, 1.1999663075488722], abs=1e-12
    )


def test_keys_that_differ_give_other_numbers():
    keys = [(1, 23), (12, 3), (1, "23"), ("a",), ("b",)]

    assert len({Chance(*key).uniform() for key in keys}) == len(keys)


def test_choice_follows_weights():
    chance = Chance("weights")
    drawn = [chance.choice("abc", (1.0, 0.0, 3.0)) for _ in range(2000)]

    assert drawn.count("b") == 0
    assert drawn.count("c") / 2000 == pytest.approx(0.75, abs=0.04)


def test_normal_has_its_mean_and_spread():
    chance = Chance("normal")
    drawn = [chance.normal(5.0, 2.0) for _ in range(4000)]
    mean = sum(drawn) / len(drawn)

    assert mean == pytest.approx(5.0, abs=0.15)
    assert math.sqrt(sum((v - mean) ** 2 for v in drawn) / len(drawn)) == pytest.approx(
        2.0, abs=0.1
    )


def test_integers_and_flags_cover_their_range():
    chance = Chance("range")

    assert {chance.integer(4) for _ in range(200)} == {0, 1, 2, 3}
    assert {chance.flag(0.5) for _ in range(50)} == {True, False}
    assert not any(chance.flag(0.0) for _ in range(50))
