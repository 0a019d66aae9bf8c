#!/usr/bin/env python3
"""Generates the files in this folder: 3 s of silence with a click of 1 ms at 1.000 s, in the formats whose decoders disagree on
where the sound begins.

    python3 tests/web/engines/clicks/make.py        (needs ffmpeg)
"""

import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CLICK = "if(gte(t,1)*lt(t,1.001),0.9*sin(2*PI*3000*(t-1)),0)"

# File name without the sample rate, and ffmpeg options for encoder and container.
FILES = [
    ("flac.flac", ["-c:a", "flac"]),
    ("vorbis.ogg", ["-c:a", "libvorbis"]),
    ("opus.opus", ["-c:a", "libopus", "-b:a", "32k"]),
    ("cbr.mp3", ["-c:a", "libmp3lame", "-b:a", "48k"]),
    ("vbr.mp3", ["-c:a", "libmp3lame", "-q:a", "7"]),
    ("no-info-tag.mp3", ["-c:a", "libmp3lame", "-b:a", "48k", "-write_xing", "0"]),
    ("aac.m4a", ["-c:a", "aac", "-b:a", "48k"]),
    ("no-edit-list.m4a", ["-c:a", "aac", "-b:a", "48k", "-use_editlist", "0"]),
    ("fragments.m4a", ["-c:a", "aac", "-b:a", "48k", "-movflags", "frag_keyframe+empty_moov"]),
    ("adts.aac", ["-c:a", "aac", "-b:a", "48k"]),
]


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)


def main():
    exact = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"]
    for rate in [44_100, 48_000]:
        for name, options in FILES:
            if name == "opus.opus" and rate != 48_000:
                continue
            source = ["-f", "lavfi", "-i", f"aevalsrc='{CLICK}':s={rate}:d=3"]
            ffmpeg(*source, *exact, *options, FOLDER / f"{rate}-{name}")
    # Its edit list skips 0.5 s, which is more than the encoder's delay.
    ffmpeg("-ss", 0.5, "-i", FOLDER / "44100-aac.m4a", "-c", "copy", *exact, FOLDER / "44100-skipping.m4a")


if __name__ == "__main__":
    main()
