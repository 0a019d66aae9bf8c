"""The seven pieces. Each function composes and mixes one, and returns its (left, right) channels."""

from random import Random

from . import instruments as band
from .dsp import SINE, Desk, decay, envelope, lowpass, noise, oscillator, sweep, times
from .score import chord, hz, melody, swung


def porch_swing():
    """Two guitars on a porch: G major, 104 beats a minute, fingers alternating on the bass strings."""
    random = Random("porch")
    beat, bars = 60 / 104, 18
    desk = Desk((bars * 4 + 7) * beat)
    shapes = {
        "G": "G2 D3 G3 B3 D4",
        "D/F#": "F#2 D3 A3 D4 F#4",
        "Em": "E2 B2 G3 B3 E4",
        "C": "C3 G2 G3 C4 E4",
        "D": "D3 A2 A3 D4 F#4",
        "Am": "A2 E3 A3 C4 E4",
        "D7": "D3 A2 A3 C4 F#4",
    }
    chords = "G G  G D/F# Em C  G C D D7  Em C G D  C G Am D7".split()
    tune = """
        B4:1.5 A4:.5 G4:1 D4:1 | A4:1.5 G4:.5 F#4:1 D4:1 | G4:1 A4:.5 B4:.5 D5:1 B4:1 | C5:1.5 B4:.5 G4:2
        B4:1.5 A4:.5 G4:1 B4:1 | E5:1.5 D5:.5 C5:1 G4:1 | D5:1 C5:.5 B4:.5 A4:2 | -:1 F#4:.5 G4:.5 A4:1 C5:1
        B4:2 E5:1 D5:1 | C5:1.5 D5:.5 E5:1 C5:1 | D5:1.5 B4:.5 G4:1 B4:1 | A4:3 -:1
        E5:1 D5:.5 C5:.5 B4:1 C5:1 | D5:1.5 B4:.5 G4:2 | A4:1 B4:.5 C5:.5 B4:1 A4:1
        -:.5 F#4:.5 A4:.5 C5:.5 B4:1 A4:1
        G4:4"""
    second = """-:32
        G4:2 B4:1 B4:1 | G4:1.5 B4:.5 C5:1 G4:1 | B4:1.5 G4:.5 D4:1 G4:1 | F#4:3 -:1
        C5:1 B4:.5 G4:.5 G4:1 G4:1 | B4:1.5 G4:.5 D4:2 | E4:1 G4:.5 A4:.5 G4:1 E4:1
        -:.5 D4:.5 F#4:.5 A4:.5 G4:1 F#4:1
        D4:4"""

    def at(where):
        return swung(where, 0.56) * beat + random.uniform(-0.006, 0.006) + 0.05

    def string(name, where, level, seconds=2.2):
        desk.play(
            band.plucked_string(hz(name), seconds, 0.45, 0.8),
            at(where),
            level * random.uniform(0.88, 1.1),
            -0.35,
            0.16,
        )

    for bar, name in enumerate(chords):
        low, other, third, second_string, first = shapes[name].split()
        for where, note, level in (
            (0, low, 0.62),
            (0, first, 0.42),
            (1, other, 0.5),
            (1.5, second_string, 0.36),
            (2, low, 0.52),
            (2.5, first, 0.42),
            (3, other, 0.5),
            (3.5, third, 0.36),
        ):
            string(note, bar * 4 + where, level)
        for where in (1, 3) if bar >= 2 else ():
            desk.play(band.foot(random), at(bar * 4 + where), 0.2, 0.1, 0.05)
        for eighth in range(8) if bar >= 10 else ():
            desk.play(band.shaker(random), at(bar * 4 + eighth / 2), 0.12 if eighth % 2 else 0.06, 0.5, 0.1)

    for line, level, pan in (tune, 0.75, 0.3), (second, 0.4, 0.12):
        for where, name, beats in melody(line, start=8):
            seconds = beats * beat + 0.9
            desk.play(band.plucked_string(hz(name), seconds, 0.5, 0.9), at(where), level, pan, 0.28)

    for step, name in enumerate("G2 D3 G3 B3 D4 G4".split()):
        string(name, bars * 4 + step * 0.09, 0.6, 3.6)
    return desk.master(room=0.62, damp=5200, wet=1.0, fade=1.6)


def attic_light():
    """Ambient, D flat major, without a beat: a chord every six seconds, a flute and distant bells."""
    random = Random("attic")
    each = 6.0
    chords = [
        ("Db2", "Ab3 C4 Eb4 F4"),
        ("Bb1", "Ab3 C4 Db4 F4"),
        ("Gb2", "Ab3 Bb3 Db4 F4"),
        ("Ab2", "Ab3 Bb3 Db4 Eb4"),
        ("Db2", "Ab3 C4 F4 Ab4"),
        ("Eb2", "Gb3 Bb3 Db4 F4"),
        ("Gb2", "Gb3 Bb3 Db4 Ab4"),
    ]
    total = each * len(chords) + 5
    desk, pads = Desk(total), Desk(total)
    for n, (bass, names) in enumerate(chords):
        at = n * each
        for note in chord(names):
            for side in (0, 1):
                pads.play(band.pad(note, each + 3.2, side), at, 0.2, 0.75 * (2 * side - 1), 0.35)
        root = oscillator(SINE, hz(bass) * 2, each + 2)
        desk.play(
            times(root, envelope(each + 2, (0, 0), (2, 1), (each - 0.5, 0.8), (each + 2, 0))), at, 0.16, 0, 0.15
        )

    # One slow filter sweep over all pads.
    hour = [950 + 700 * w for w in oscillator(SINE, 1 / 24, total, 0.7)]
    pads.left, pads.right = sweep(pads.left, hour, 0.2), sweep(pads.right, hour[::-1], 0.2)
    desk.lay(pads)

    tune = """-:6 F5:3 Eb5:1 C5:2 | Db5:4 Ab4:2 | Bb4:3 Eb5:3 | -:1 F5:3 Ab5:2 | Gb5:2 F5:2 Db5:2 | Eb5:2 Db5:1.5 Ab4:4"""
    for at, name, seconds in melody(tune):
        desk.play(band.flute(hz(name), seconds + 0.8), at, 0.42, 0.1, 0.8)

    bells = "Db6 Eb6 F6 Ab6 Bb5 Ab5 C6".split()
    at = 3.0
    while at < total - 7:
        desk.play(
            band.vibraphone(hz(random.choice(bells)), 3.0),
            at,
            random.uniform(0.05, 0.1),
            random.uniform(-0.8, 0.8),
            1.2,
        )
        at += random.choice((0.75, 1.5, 1.5, 2.25, 3.0))
    breeze = times(lowpass(noise(random, total), 500), [0.5 + 0.5 * w for w in oscillator(SINE, 1 / 9, total)])
    desk.play(breeze, 0, 0.03, -0.3, 0.3)
    return desk.master(room=0.97, damp=3200, wet=0.6, fade=5.0)


def hallway_race():
    """A chiptune: F major, 164 beats a minute, two pulses, a triangle and a noise channel."""
    random = Random("hallway")
    beat = 60 / 164
    bars = [
        ["F"] * 4,
        ["Dm"] * 4,
        ["Bb"] * 4,
        ["C"] * 4,
        ["F"] * 4,
        ["Dm"] * 4,
        ["Gm", "Gm", "C", "C"],
        ["F"] * 4,
        ["Bb"] * 4,
        ["C"] * 4,
        ["Am", "Am", "Dm", "Dm"],
        ["Gm", "Gm", "C", "C"],
    ]
    shapes = {
        "F": "F4 A4 C5",
        "Dm": "F4 A4 D5",
        "Bb": "F4 Bb4 D5",
        "C": "G4 C5 E5",
        "Gm": "G4 Bb4 D5",
        "Am": "E4 A4 C5",
    }
    roots = {"F": "F2", "Dm": "D2", "Bb": "Bb2", "C": "C2", "Gm": "G2", "Am": "A2"}
    desk = Desk(len(bars) * 4 * beat + 2.45)
    tune = """
        C5:.5 F5:.5 A5:.5 F5:.5 C6:.75 A5:.25 F5:1 | D5:.5 F5:.5 A5:.5 F5:.5 D6:.75 A5:.25 F5:1
        D6:.5 C6:.5 Bb5:.5 F5:.5 D5:.5 F5:.5 Bb5:1 | C6:.5 Bb5:.5 G5:.5 E5:.5 C5:1 E5:.5 G5:.5
        C5:.5 F5:.5 A5:.5 F5:.5 C6:.75 A5:.25 F5:1 | D5:.5 F5:.5 A5:.5 C6:.5 D6:.75 C6:.25 A5:1
        Bb5:.5 A5:.5 G5:.5 Bb5:.5 A5:.5 G5:.5 E5:.5 G5:.5 | F5:1 A5:.5 C6:.5 F6:1 -:1
        D6:1.5 C6:.5 Bb5:1 D6:1 | E6:1.5 D6:.5 C6:1 E6:1 | C6:.5 E6:.5 C6:.5 A5:.5 F6:.75 E6:.25 D6:1
        Bb5:.5 D6:.5 G6:.5 D6:.5 E6:.5 D6:.5 C6:.5 Bb5:.5 | A5:.25 C6:.25 F6:.5 C6:.5 F6:1.5"""
    for where, name, beats in melody(tune):
        note = band.chip_pulse(hz(name), beats * beat * 0.88, 0.25)
        desk.play(note, where * beat, 0.42, 0.25, 0.1)
        desk.play(note, (where + 0.75) * beat, 0.11, -0.8, 0.1)
    for number, names in enumerate(name for bar in bars for name in bar):
        notes = chord(shapes[names])
        for step in range(8):
            note = notes[(0, 1, 2, 1)[step % 4]] * (1 if step < 4 else 2)
            desk.play(band.chip_pulse(note, beat / 8 * 0.95, 0.5), (number + step / 8) * beat, 0.15, -0.7, 0.05)
        low = hz(roots[names])
        desk.play(band.chip_triangle(low, beat * 0.42), number * beat, 0.46, 0, 0.02)
        desk.play(band.chip_triangle(low * 2, beat * 0.38), (number + 0.5) * beat, 0.38, 0, 0.02)
        if number % 2:
            desk.play(band.chip_noise(random, 0.16, 9000, 0.03), number * beat, 0.3, 0.05, 0.06)
        else:
            desk.play(band.kick(0.2), number * beat, 0.5, 0, 0.0)
        for half in (0, 0.5) if number % 8 < 6 else (0, 0.25, 0.5, 0.75):
            desk.play(band.chip_noise(random, 0.05, 22050, 0.008), (number + half) * beat, 0.14, 0.35, 0.03)
    end = len(bars) * 4 * beat
    for note, pan in zip(chord("F3 A4 C5 F5"), (0, -0.5, 0.2, 0.5)):
        desk.play(times(band.chip_pulse(note, 2.2, 0.25), decay(2.2, 0.4)), end, 0.24, pan, 0.12)
    desk.play(times(band.chip_triangle(hz("F2"), 2.2), decay(2.2, 0.4)), end, 0.5, 0, 0.02)
    desk.play(band.kick(0.3), end, 0.6)
    return desk.master(room=0.3, damp=6000, wet=2.0, fade=0.5)


def kitchen_after_midnight():
    """A slow swing in E flat: electric piano, upright bass, brushes. 74 beats a minute."""
    random = Random("kitchen")
    beat = 60 / 74
    voicings = {
        "Ebmaj9": "G3 Bb3 D4 F4",
        "C7b9": "Bb3 Db4 E4 Ab4",
        "Fm9": "Ab3 C4 Eb4 G4",
        "Bb13": "Ab3 C4 D4 G4",
        "Gm7": "F3 Bb3 D4 F4",
        "Abmaj9": "G3 Bb3 C4 Eb4",
        "Db9": "F3 Ab3 B3 Eb4",
        "Eb69": "G3 C4 F4 Bb4",
    }
    changes = [
        ["Ebmaj9"],
        ["C7b9"],
        ["Fm9"],
        ["Bb13"],
        ["Gm7", "C7b9"],
        ["Fm9", "Bb13"],
        ["Abmaj9", "Db9"],
        ["Ebmaj9", "C7b9"],
        ["Fm9", "Bb13"],
    ]
    walk = """
        Eb2:1 G2:1 Bb2:1 B2:1 | C3:1 Bb2:1 G2:1 E2:1 | F2:1 Ab2:1 C3:1 B2:1 | Bb2:1 F2:1 D2:1 Ab2:1
        G2:1 D2:1 C3:1 G2:1 | F2:1 C3:1 Bb2:1 F2:1 | Ab2:1 Eb2:1 Db2:1 D2:1 | Eb2:1 Bb2:1 C3:1 G2:1
        F2:1 C3:1 Bb2:1 D2:1 | Eb2:5"""
    tune = """
        -:1 Bb4:.5 D5:.5 F5:1 D5:1 | Db5:1.5 C5:.5 Bb4:.5 Ab4:.5 G4:1 | -:.5 Ab4:.5 C5:.5 Eb5:.5 G5:1.5 F5:.5
        D5:1 C5:.5 Bb4:.5 G4:2 | -:.5 Bb4:.5 D5:.5 F5:.5 E5:1 Db5:1 | C5:1.5 Ab4:.5 G4:1.5 F4:.5
        -:.5 Eb5:.5 G5:.5 Bb5:.5 Ab5:1 F5:1 | G5:1.5 F5:.5 E5:.5 Db5:.5 Bb4:1
        Ab4:.5 C5:.5 Eb5:.5 G5:.5 F5:.5 D5:.5 C5:.5 Ab4:.5 | G4:.5 Bb4:.5 D5:.5 F5:3"""
    desk = Desk((len(changes) * 4 + 6.5) * beat)
    piano = Desk(desk.seconds)

    def at(where):
        return swung(where, 0.64) * beat + random.uniform(0.0, 0.012) + 0.02

    def comp(name, where, beats, touch):
        for note in chord(voicings[name]):
            piano.play(
                band.electric_piano(note, beats * beat, touch), at(where) + random.uniform(0, 0.012), 0.17, -0.15, 0.3
            )

    for bar, names in enumerate(changes):
        first, last = names[0], names[-1]
        if random.random() < 0.5:
            comp(first, bar * 4, 1.8, 0.15)
            comp(last, bar * 4 + 2.5, 1.2, 0.2)
        else:
            comp(first, bar * 4, 1.2, 0.2)
            comp(first, bar * 4 + 1.5, 0.4, 0.25)
            comp(last, bar * 4 + 2, 1.7, 0.15)
    comp("Eb69", len(changes) * 4, 5, 0.2)
    for where, name, beats in melody(tune):
        touch = 0.35 if where % 1 else 0.45
        piano.play(band.electric_piano(hz(name), beats * beat + 0.1, touch), at(where), 0.36, 0.1, 0.35)

    # Stereo tremolo, as of an electric piano's amplifier.
    swing = oscillator(SINE, 3.1, piano.seconds)
    piano.left = [s * (1 + 0.22 * w) for s, w in zip(piano.left, swing)]
    piano.right = [s * (1 - 0.22 * w) for s, w in zip(piano.right, swing)]
    desk.lay(piano)

    for where, name, beats in melody(walk):
        desk.play(band.upright_bass(hz(name), beats * beat * 0.95), at(where), 0.42, 0.05, 0.06)
    for number in range(len(changes) * 4):
        desk.play(band.brush_sweep(random, beat * 0.95), number * beat, 0.13, 0.3, 0.12)
        desk.play(band.ride(random), at(number), 0.1, 0.45, 0.15)
        if number % 2:
            desk.play(band.brush_tap(random), at(number), 0.34, 0.2, 0.2)
            desk.play(band.ride(random), at(number + 0.5), 0.07, 0.45, 0.15)
    desk.play(band.ride(random), at(len(changes) * 4), 0.16, 0.45, 0.4)
    return desk.master(room=0.6, damp=3800, wet=0.9, fade=1.8)


def rain_on_the_skylight():
    """Marimbas, twelve pulses a bar, B minor to D: a pattern and the same pattern five pulses later."""
    random = Random("rain")
    pulse, bars = 0.196, 15
    desk = Desk(bars * 12 * pulse + 3.2)
    colours = {"Bm": "B3 C#4 D4 F#4 A4", "G": "G3 A3 B3 D4 F#4", "D": "A3 B3 D4 E4 F#4", "A": "A3 B3 C#4 E4 F#4"}
    roots = {"Bm": "B2", "G": "G2", "D": "F#2", "A": "A2"}
    course = "Bm Bm Bm Bm G G G D D A A Bm G D D".split()
    # The index of the chord note for each pulse; a dash is a rest.
    pattern = "0 2 4 1 - 3 2 4 - 1 3 -".split()
    entrance = [0, 7, 3, 10, 5, 2, 8, 1, 6]  # the order in which the second player adds the notes of the pattern
    for bar, name in enumerate(course):
        notes, start = chord(colours[name]), bar * 12
        swell = 0.8 + 0.2 * min(1, bar / 8)

        def bar_at(step):
            return (start + step) * pulse + random.uniform(0, 0.004)

        for step, degree in enumerate(pattern):
            if degree != "-":
                level = (0.5 if step in (0, 3, 6, 9) else 0.36) * swell
                desk.play(band.marimba(notes[int(degree)], 0.45), bar_at(step), level, -0.5, 0.2)
        if bar >= 1:
            playing = entrance[: (bar - 1) * 3 + 2]
            for step in range(12):
                degree = pattern[(step + 5) % 12]
                if degree != "-" and ((step + 5) % 12 in playing or bar >= 4):
                    desk.play(band.marimba(notes[int(degree)] * 2, 0.65), bar_at(step), 0.3 * swell, 0.5, 0.25)
        if bar >= 2:
            root = hz(roots[name])
            for step, level in ((0, 0.5), (5, 0.28), (8, 0.36)) if bar < bars - 1 else ((0, 0.5),):
                desk.play(band.marimba(root, 0.1), bar_at(step), level, 0, 0.15)
        if bar >= 7:
            for step in range(0, 12, 4):
                desk.play(band.music_box(notes[4 - step // 4] * 4), bar_at(step), 0.07, 0.0, 0.5)

    hold = 12 * pulse
    line = "-:3 | F#4:1 D5:1 | B4:2 | D5:1 E5:1 | F#5:2 | E5:1 C#5:1 | D5:1 B4:1 | A4:2"
    for bar, name, count in melody(line):
        for level, send, ratio in (0.12, 0.5, 1), (0.05, 0.3, 0.5):
            desk.play(band.strings(hz(name) * ratio, count * hold + 0.5), bar * hold, level, 0.1, send)
        desk.play(band.vibraphone(hz(name), count * hold + 0.8), bar * hold, 0.18, -0.1, 0.5)
    for note, pan in zip(chord("D3 A3 D4 F#4 A4 D5"), (0, -0.5, 0.5, -0.3, 0.3, 0)):
        desk.play(band.marimba(note, 0.4), bars * hold, 0.26, pan, 0.35)
    return desk.master(room=0.75, damp=4800, wet=1.0, fade=1.5)


def basement_lamp():
    """House, C minor, 122 beats a minute: a kick on each beat, off-beat bass, chords with an opening filter."""
    random = Random("basement")
    beat, bars = 60 / 122, 16
    total = bars * 4 * beat + 2.6
    desk, ducked = Desk(total), Desk(total)
    course = ["C2 Eb4 G4 Bb4 D5", "Ab1 Eb4 G4 Ab4 C5", "F1 Eb4 G4 Ab4 C5", "G1 D4 F4 Bb4 D5"]
    tune = """
        -:.5 G5:.5 Eb5:.5 F5:.5 G5:.75 Bb5:.75 G5:.5 | -:.5 F5:.5 Eb5:.5 C5:.5 Eb5:1.5 -:.5
        -:.5 Ab5:.5 G5:.5 F5:.5 Eb5:.75 F5:.75 C5:.5 | -:.5 D5:.5 F5:.5 G5:.5 Bb5:1 D5:1"""
    for bar in range(bars):
        root, *upper = chord(course[bar % 4])
        broken = bar in (12, 13)
        for step in (0, 3, 6, 11, 14):
            for note in upper:
                for side in (0, 1):
                    ducked.play(
                        band.stab(note, 0.42, side), (bar * 4 + step / 4) * beat, 0.13, 0.7 * (2 * side - 1), 0.22
                    )
        if bar >= 4:
            for side in (0, 1):
                for note in upper:
                    ducked.play(
                        band.pad(note / 2, 4 * beat + 0.4, side), bar * 4 * beat, 0.1, 0.8 * (2 * side - 1), 0.2
                    )
        if bar >= 2 and not broken:
            low = root if root > 60 else root * 2
            for step, ratio, length in (2, 1, 1.5), (6, 1, 1.5), (9, 2, 0.7), (10, 1, 1.5), (14, 1, 1), (15, 2, 0.7):
                ducked.play(band.synth_bass(low * ratio, length * beat / 4), (bar * 4 + step / 4) * beat, 0.46, 0, 0)
        for number in range(4):
            at = (bar * 4 + number) * beat
            if not broken:
                desk.play(band.kick(), at, 0.8)
            if number % 2 and bar >= 2:
                desk.play(band.clap(random), at, 0.42, 0.05, 0.25)
            desk.play(band.hat(random, 0.045), at + beat / 2, 0.24, 0.2, 0.08)
            for quarter in (0, 1, 3) if bar >= 4 else ():
                desk.play(
                    band.hat(random, 0.012), at + quarter * beat / 4 * (1.06 if quarter % 2 else 1), 0.11, -0.25, 0.05
                )
        if bar == 13:
            for roll in range(8):
                desk.play(band.clap(random), (bar * 4 + 2 + roll / 4) * beat, 0.12 + 0.03 * roll, 0, 0.3)

    # A low-pass filter on the chords opens over the first eight bars, closes in the break and opens again.
    door = envelope(
        total, *((b * 4 * beat, hertz) for b, hertz in ((0, 500), (8, 4200), (11.8, 5000), (12, 900), (14, 6000)))
    )
    ducked.left, ducked.right = sweep(ducked.left, door, 0.45), sweep(ducked.right, door, 0.45)
    one = envelope(beat, (0, 0.35), (0.06, 0.45), (beat * 0.7, 1))
    ducked.duck([one[i % len(one)] for i in range(ducked.length)])
    desk.lay(ducked)

    for first in (4, 8, 12):
        for where, name, beats in melody(tune, start=first * 4):
            note, at = band.bleep(hz(name), beats * beat + 0.1), where * beat
            for echo, (level, pan) in enumerate([(0.34, 0), (0.13, -0.6), (0.08, 0.6), (0.04, -0.6)]):
                desk.play(note, at + echo * 0.75 * beat, level, pan, 0.2)
    end = bars * 4 * beat
    for note in chord("C3 G3 Eb4 G4 Bb4 D5"):
        for side in (0, 1):
            desk.play(band.pad(note, 2.6, side), end - 0.6, 0.12, 0.7 * (2 * side - 1), 0.4)
    desk.play(band.kick(), end, 0.85, 0, 0.3)
    return desk.master(room=0.7, damp=5000, wet=0.8, fade=1.2)


def nursery_waltz():
    """A waltz in A major for music box, plucked strings, then bowed strings. It slows down at the end."""
    beat = 60 / 150
    bars = [
        "A2 E3 A3 C#4",
        "C#3 E3 A3 C#4",
        "D3 F#3 A3 D4",
        "E3 G#3 B3 D4",
        "F#2 F#3 A3 C#4",
        "B2 F#3 B3 D4",
        "E3 G#3 B3 D4",
        "A2 E3 A3 C#4",
        "D3 F#3 A3 D4",
        "C#3 E3 A3 C#4",
        "B2 F#3 B3 D4",
        "E3 G#3 B3 D4",
        "F#2 F#3 A3 C#4",
        "D3 F#3 A3 D4",
        "E3 G#3 B3 D4",
        "A2 E3 A3 C#4",
    ]
    tune = """
        C#6:2 E6:1 | A5:2 B5:1 | D6:1 C#6:1 B5:1 | G#5:2 B5:1 | A5:1 C#6:1 F#6:1 | E6:1 D6:1 F#5:1 | G#5:1 B5:1 D6:1 | C#6:3
        F#6:2 A6:1 | E6:2 C#6:1 | D6:1 F#6:1 D6:1 | B5:2 G#5:1 | A5:1 C#6:1 F#6:1 | A6:1 F#6:1 D6:1 | C#6:1 B5:1 G#5:1 | A5:3"""

    def at(where):
        # The tempo slows down from the fourteenth bar on.
        late = max(0.0, where - 39)
        return (where + 0.045 * late * late) * beat + 0.05

    desk = Desk(at(48) + 2.0)
    for where, name, beats in melody(tune):
        desk.play(band.music_box(hz(name)), at(where), 0.5, 0.15, 0.35)
        if beats == 3:
            for step, below in enumerate(("E5", "A5", "C#6"), start=1):
                desk.play(band.music_box(hz(below)), at(where + step * 0.75), 0.26, -0.2, 0.35)
    for bar, names in enumerate(bars):
        low, *upper = chord(names)
        desk.play(band.pizzicato(low), at(bar * 3), 0.75, -0.15, 0.2)
        for step in (1, 2) if bar < 15 else ():
            for note in upper:
                desk.play(band.pizzicato(note), at(bar * 3 + step), 0.3, -0.35, 0.25)
        if bar >= 8:
            seconds = at(bar * 3 + 3) - at(bar * 3) + 0.35
            for note, pan in zip((low, *upper), (0.4, -0.6, -0.2, 0.6)):
                desk.play(band.strings(note, seconds), at(bar * 3), 0.1, pan, 0.3)
    for step, name in enumerate("A4 E5 A5 C#6 A6".split()):
        desk.play(band.music_box(hz(name)), at(48) - 0.5 + step * 0.14, 0.34, 0.1, 0.5)
    return desk.master(room=0.7, damp=4200, wet=0.8, fade=1.2)
