"""The covers: anti-aliased flat shapes, and a PNG writer. One function for each picture.

Coordinates run from -1 to 1, y downwards. A shape is a signed distance function: negative inside.
"""

import math
import struct
import zlib
from random import Random

SIZE = 480


def circle(x, y, radius):
    return lambda px, py: math.hypot(px - x, py - y) - radius


def ring(x, y, radius, width):
    return lambda px, py: abs(math.hypot(px - x, py - y) - radius) - width / 2


def bar(x0, y0, x1, y1, width):
    """A line with round ends."""
    dx, dy = x1 - x0, y1 - y0
    length = dx * dx + dy * dy

    def distance(px, py):
        along = max(0.0, min(1.0, ((px - x0) * dx + (py - y0) * dy) / length))
        return math.hypot(px - x0 - along * dx, py - y0 - along * dy) - width / 2

    return distance


def box(x, y, half_width, half_height):
    return lambda px, py: max(abs(px - x) - half_width, abs(py - y) - half_height)


def below(x, y, slope):
    """The half-plane below a line with that slope through a point."""
    scale = 1 / math.hypot(1, slope)
    return lambda px, py: (y + slope * (px - x) - py) * scale


def both(*shapes):
    return lambda px, py: max(shape(px, py) for shape in shapes)


def without(shape, hole):
    return lambda px, py: max(shape(px, py), -hole(px, py))


class Canvas:
    def __init__(self, ground):
        self.pixels = [_rgb(ground)] * (SIZE * SIZE)

    def paint(self, colour, shape, within=(-1, -1, 1, 1)):
        """Fill a shape. Only pixels in `within` (left, top, right, bottom) are computed."""
        ink = _rgb(colour)
        left, top, right, bottom = (max(0, min(SIZE, round((edge + 1) * SIZE / 2))) for edge in within)
        for row in range(top, bottom):
            y = (row + 0.5) * 2 / SIZE - 1
            for column in range(left, right):
                cover = 0.5 - shape((column + 0.5) * 2 / SIZE - 1, y) * SIZE / 2
                if cover > 0:
                    at = row * SIZE + column
                    cover = min(1.0, cover)
                    self.pixels[at] = tuple(old + (new - old) * cover for old, new in zip(self.pixels[at], ink))

    def png(self):
        flat = bytes(round(channel) for pixel in self.pixels for channel in pixel)
        # Filter type 0 (none) for each row: flat colours compress best without a filter.
        rows = b"".join(b"\0" + flat[start : start + SIZE * 3] for start in range(0, len(flat), SIZE * 3))
        header = struct.pack(">2I5B", SIZE, SIZE, 8, 2, 0, 0, 0)
        chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def porch():
    """A low sun behind the floor boards of a porch, and a swing."""
    canvas = Canvas("#e9822f")
    for radius, colour in (0.78, "#ef9640"), (0.6, "#f5ae57"), (0.42, "#fbd08a"):
        canvas.paint(colour, circle(0, 0.12, radius))
    for step in range(5):
        y = 0.2 + step * 0.19
        canvas.paint("#a8481c", box(0, y + 0.02 * step, 1, 0.02 + 0.012 * step), (-1, y - 0.1, 1, y + 0.2))
    for x in (-0.34, 0.34):
        canvas.paint("#5a2412", bar(x, -1.1, x, 0.06, 0.028), (x - 0.05, -1, x + 0.05, 0.1))
    canvas.paint("#5a2412", bar(-0.44, 0.06, 0.44, 0.06, 0.09), (-0.6, -0.1, 0.6, 0.2))
    return canvas.png()


def attic():
    """A gable at night with a lit round window."""
    canvas = Canvas("#2a3f9e")
    random = Random("stars")
    for _ in range(40):
        x, y, size = random.uniform(-1, 1), random.uniform(-1, 0.2), random.uniform(0.006, 0.014)
        canvas.paint("#b9c6ff", circle(x, y, size), (x - 0.03, y - 0.03, x + 0.03, y + 0.03))
    canvas.paint("#2a3f9e", circle(0.66, -0.65, 0.26), (0.3, -1, 1, -0.3))
    canvas.paint("#dfe6ff", without(circle(0.62, -0.62, 0.2), circle(0.7, -0.68, 0.18)), (0.3, -1, 1, -0.3))
    canvas.paint("#16225f", both(below(0, -0.62, 1.05), below(0, -0.62, -1.05)))
    canvas.paint("#1d2d78", both(below(0, -0.44, 1.05), below(0, -0.44, -1.05)))
    for radius, colour in (0.46, "#2b429c"), (0.37, "#4a68c8"), (0.28, "#9fb6ff"), (0.22, "#eef2ff"):
        canvas.paint(colour, circle(0, 0.32, radius), (-0.5, -0.2, 0.5, 0.9))
    canvas.paint(
        "#1d2d78", both(circle(0, 0.32, 0.23), lambda x, y: min(abs(x), abs(y - 0.32)) - 0.012), (-0.3, 0, 0.3, 0.6)
    )
    return canvas.png()


def kitchen():
    """A lamp over a table with a cup."""
    canvas = Canvas("#b01f3b")
    for row in range(3):
        for column in range(8):
            if (row + column) % 2:
                x, y = -0.875 + column * 0.25, 0.585 + row * 0.25
                canvas.paint("#8d1530", box(x, y, 0.125, 0.125), (x - 0.2, y - 0.2, x + 0.2, y + 0.2))
    canvas.paint("#cf3b4d", both(below(0, -0.7, 1.6), below(0, -0.7, -1.6), box(0, -0.1, 1, 0.56)))
    canvas.paint("#e4606a", both(below(0, -0.75, 2.6), below(0, -0.75, -2.6), box(0, -0.1, 1, 0.56)))
    canvas.paint("#3d0a18", bar(0, -1.1, 0, -0.7, 0.02), (-0.1, -1, 0.1, -0.6))
    canvas.paint("#ffe3b0", circle(0, -0.42, 0.09), (-0.2, -0.6, 0.2, -0.2))
    canvas.paint("#3d0a18", both(circle(0, -0.42, 0.3), box(0, -0.62, 1, 0.2)), (-0.4, -0.8, 0.4, -0.4))
    canvas.paint("#3d0a18", bar(-0.78, 0.46, 0.78, 0.46, 0.07), (-0.9, 0.3, 0.9, 0.6))
    canvas.paint("#fff1e0", ring(0.17, 0.28, 0.08, 0.035), (0, 0.1, 0.4, 0.5))
    canvas.paint("#fff1e0", box(0, 0.29, 0.16, 0.135), (-0.3, 0.1, 0.3, 0.5))
    return canvas.png()


def rain():
    """Slanting rain on a window with four panes."""
    canvas = Canvas("#13938c")
    random = Random("drops")
    colours = ("#0c6f6d", "#35b3a7", "#7fd6c8", "#0f827d", "#d8f5ec")
    for n in range(90):
        x, y, length = random.uniform(-1.1, 1.1), random.uniform(-1.1, 1.1), random.uniform(0.08, 0.34)
        shape = bar(x, y, x - length * 0.32, y + length, random.choice((0.02, 0.03, 0.045)))
        canvas.paint(colours[n % 5], shape, (x - length, y - 0.1, x + 0.1, y + length + 0.1))
    for shape in box(0, 0, 0.035, 1), box(0, 0, 1, 0.035), lambda x, y: 0.93 - max(abs(x), abs(y)):
        canvas.paint("#073f42", shape)
    return canvas.png()


def basement():
    """The sixteen steps of a drum sequencer, one of them lit."""
    canvas = Canvas("#6a25b5")
    random = Random("steps")
    for row in range(4):
        for column in range(4):
            x, y = -0.69 + column * 0.46, -0.69 + row * 0.46
            around = (x - 0.3, y - 0.3, x + 0.3, y + 0.3)
            canvas.paint("#55189a", box(x, y, 0.19, 0.19), around)
            canvas.paint("#a04be0" if column else "#e23fa9", circle(x, y, random.choice((0.08, 0.11, 0.15))), around)
    for radius, colour in (0.27, "#8b3fd0"), (0.21, "#f4b13e"), (0.14, "#fff0c2"):
        canvas.paint(colour, circle(0.23, -0.23, radius), (-0.1, -0.6, 0.6, 0.1))
    return canvas.png()


def nursery():
    """The cylinder of a music box from one end: rings of pins, and the comb."""
    canvas = Canvas("#f3c62f")
    for radius, colour in (0.86, "#f8d75e"), (0.62, "#f3c62f"), (0.38, "#fbe596"), (0.14, "#e0912a"):
        canvas.paint(colour, circle(-0.12, 0, radius))
    random = Random("pins")
    for radius, pins in (0.26, 7), (0.5, 12), (0.74, 18):
        for pin in range(pins):
            turn = 2 * math.pi * (pin + 0.5) / pins
            x, y = -0.12 + radius * math.cos(turn), radius * math.sin(turn)
            if random.random() < 0.7:
                canvas.paint("#b5561f", circle(x, y, 0.038), (x - 0.06, y - 0.06, x + 0.06, y + 0.06))
    for tooth in range(9):
        y = -0.72 + tooth * 0.18
        canvas.paint("#7a3d1a", bar(0.72 - 0.02 * tooth, y, 1.1, y, 0.07), (0.4, y - 0.1, 1, y + 0.1))
    return canvas.png()
