#!/usr/bin/env python3
"""Generates the demo music in this folder with its covers, from code only.

    python3 audio/make.py [TITLE ...]        (Python 3.9 or newer, and ffmpeg; about a minute)

Without titles, all tracks are generated. The output is reproducible: random generators are seeded, and encoders run in
bit-exact mode. Music and covers belong to the project and have its licence.

This file defines the two albums, and masters and encodes the tracks. `recipe/pieces.py` has the compositions,
`recipe/instruments.py` the instruments, `recipe/art.py` the covers.
"""

import base64
import math
import re
import struct
import subprocess
import sys
import tempfile
from array import array
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

sys.dont_write_bytecode = True  # leave no __pycache__ in this folder, which the server scans for music

from recipe import art, pieces  # noqa: E402
from recipe.dsp import RATE  # noqa: E402

HERE = Path(__file__).resolve().parent
YEAR = 2026
LOUDNESS = -16.0  # LUFS
KNEE, CEILING = 0.7, 0.87  # a soft limiter compresses peaks above the knee to below the ceiling (-1.2 dBFS)

WALLS = ("The Lockstep Players", "A House with Thin Walls")
LIGHTS = ("Small Hours Unit", "The Lights Left On")

# The files are part of the source repository, so the two lossless ones have 32 kHz, and the chiptune is mono, to be small.
ENCODERS = {
    "mp3": ["-c:a", "libmp3lame", "-q:a", "6", "-id3v2_version", "3"],
    "m4a": ["-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart"],
    "ogg": ["-c:a", "libvorbis", "-q:a", "2.5"],
    "opus": ["-c:a", "libopus", "-b:a", "56k"],
    "flac": ["-c:a", "flac", "-compression_level", "12", "-sample_fmt", "s16", "-ar", "32000"],
    "wav": ["-c:a", "pcm_s16le", "-ar", "32000", "-ac", "1"],
}


@dataclass(frozen=True)
class Track:
    title: str
    album: tuple
    number: int
    suffix: str
    compose: Callable
    paint: Optional[Callable]


TRACKS = [
    Track("Porch Swing", WALLS, 1, "mp3", pieces.porch_swing, art.porch),
    Track("Rain on the Skylight", WALLS, 2, "ogg", pieces.rain_on_the_skylight, art.rain),
    Track("Nursery Waltz", WALLS, 3, "flac", pieces.nursery_waltz, art.nursery),
    Track("Kitchen, after Midnight", WALLS, 4, "m4a", pieces.kitchen_after_midnight, art.kitchen),
    Track("Hallway Race", LIGHTS, 1, "wav", pieces.hallway_race, None),
    Track("Basement Lamp", LIGHTS, 2, "mp3", pieces.basement_lamp, art.basement),
    Track("Attic Light", LIGHTS, 3, "opus", pieces.attic_light, art.attic),
]


def make(track):
    left, right = at_one_loudness(*track.compose())
    path = HERE / f"{track.title}.{track.suffix}"
    encode(path, interleave(left, right), track)
    return f"{path.name}: {len(left) / RATE:.1f} s, {path.stat().st_size / 1000:.0f} kB"


def at_one_loudness(left, right):
    """Bring a piece to the common loudness. The limiter lowers the loudness a little, so this runs twice."""
    for _ in range(2):
        gain = 10 ** ((LOUDNESS - loudness(left, right)) / 20)
        left, right = ([rounded(s * gain) for s in side] for side in (left, right))
    return left, right


def rounded(sample):
    over = abs(sample) - KNEE
    if over <= 0:
        return sample
    return math.copysign(KNEE + (CEILING - KNEE) * math.tanh(over / (CEILING - KNEE)), sample)


def loudness(left, right):
    """Integrated loudness in LUFS (EBU R 128)."""
    report = ffmpeg(*RAW_INPUT, "-af", "ebur128", "-f", "null", "-", level="info", feed=interleave(left, right))
    return float(re.findall(r"I:\s+(-[\d.]+) LUFS", report)[-1])


def interleave(left, right):
    both = array("f", bytes(8 * len(left)))
    both[0::2], both[1::2] = array("f", left), array("f", right)
    if sys.byteorder == "big":
        both.byteswap()
    return both.tobytes()


RAW_INPUT = ["-f", "f32le", "-ar", str(RATE), "-ac", "2", "-i", "-"]


def encode(path, samples, track):
    artist, album = track.album
    tags = {"title": track.title, "artist": artist, "album": album, "track": track.number, "date": YEAR}
    options = ["-map", "0:a", *ENCODERS[track.suffix]]
    with tempfile.TemporaryDirectory() as scratch:
        picture = []
        if track.paint:
            png = track.paint()
            if track.suffix in ("ogg", "opus"):
                tags["METADATA_BLOCK_PICTURE"] = base64.b64encode(flac_picture(png)).decode()
            else:
                cover = Path(scratch) / "cover.png"
                cover.write_bytes(png)
                picture = ["-i", cover]
                options += ["-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic"]
                options += ["-metadata:s:v", "comment=Cover (front)"]
        for key, value in tags.items():
            options += ["-metadata", f"{key}={value}"]
        bitexact = ["-fflags", "+bitexact", "-flags:a", "+bitexact"]
        ffmpeg(*RAW_INPUT, *picture, *bitexact, *options, "-y", path, feed=samples)


def flac_picture(png):
    """A FLAC picture block (RFC 9639, 8.8), which Ogg files contain as a comment: the front cover."""
    width, height = struct.unpack(">2I", png[16:24])
    mime = b"image/png"
    return struct.pack(f">2I{len(mime)}s6I", 3, len(mime), mime, 0, width, height, 24, 0, len(png)) + png


def ffmpeg(*arguments, feed, level="error"):
    command = ["ffmpeg", "-hide_banner", "-nostats", "-v", level, *map(str, arguments)]
    done = subprocess.run(command, input=feed, stderr=subprocess.PIPE)
    report = done.stderr.decode(errors="replace")
    if done.returncode:
        sys.exit(f"ffmpeg failed:\n{report}")
    return report


def main():
    wanted = sys.argv[1:] or [track.title for track in TRACKS]
    unknown = set(wanted) - {track.title for track in TRACKS}
    if unknown:
        sys.exit(f"no such title: {', '.join(sorted(unknown))}")
    with ProcessPoolExecutor(max_workers=2) as pool:
        for line in pool.map(make, [track for track in TRACKS if track.title in wanted]):
            print(line, flush=True)


if __name__ == "__main__":
    main()
