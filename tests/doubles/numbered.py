"""Pictures that tell which they are and when they were made: squares in the first rows are the bits of both. Standard library only."""

import time

SQUARE, BITS = 16, 16
SIZE_WH = (320, 192)
WRAP = 1 << BITS
BLACK, WHITE = 16, 235
LEVELS = 200  # the rest of picture n has the grey 16 + n % 200


def now_ms():
    """The clock of all processes of this machine, as it is written into a picture."""
    return time.monotonic_ns() // 1_000_000 % WRAP


def picture(number, size_wh=SIZE_WH):
    """Grey, ``uint8[H, W]`` as bytes: 16 rows with the number, 16 with the time in ms, lowest bit first; below one grey."""
    width, height = size_wh
    rows = []
    for value in (number % WRAP, now_ms()):
        row = b"".join(
            bytes([WHITE if value >> bit & 1 else BLACK]) * SQUARE for bit in range(BITS)
        )
        rows.append((row + bytes([BLACK]) * (width - len(row))) * SQUARE)
    return rows[0] + rows[1] + bytes([BLACK + number % LEVELS]) * (width * (height - 2 * SQUARE))


def read(image):
    """Number and time of a picture ``uint8[H, W, 3]``."""
    values = []
    for place in range(2):
        y = place * SQUARE + SQUARE // 2
        bright = [int(image[y, bit * SQUARE + SQUARE // 2, 0]) > 128 for bit in range(BITS)]
        values.append(sum(1 << bit for bit, lit in enumerate(bright) if lit))
    return tuple(values)


def age_ms(image):
    """How old a picture is, ms; up to a minute."""
    return (now_ms() - read(image)[1]) % WRAP


def is_whole(image):
    """Whether its lower part is the one grey that its number promises."""
    lower = image[2 * SQUARE + 8 :, :, 0]
    expected = BLACK + read(image)[0] % LEVELS
    return abs(int(lower.min()) - expected) < 8 and abs(int(lower.max()) - expected) < 8
