"""Music notation as text: note names, chords and melodies."""

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"#": 1, "b": -1}


def pitch(name):
    """The MIDI number of a note such as F#4; C4 is 60."""
    accidentals = sum(_ACCIDENTALS[sign] for sign in name[1:-1])
    return 12 * (int(name[-1]) + 1) + _STEPS[name[0]] + accidentals


def hz(note):
    """The frequency of a note in Hz, by its name or MIDI number."""
    number = pitch(note) if isinstance(note, str) else note
    return 440.0 * 2 ** ((number - 69) / 12)


def chord(names):
    """The frequencies of space-separated notes, in Hz."""
    return [hz(name) for name in names.split()]


def melody(text, start=0.0):
    """Parse "C5:1.5 -:.5 | G4:2" (note:beats, "-" is a rest, "|" is ignored) into (start beat, note name, beats)."""
    beat = start
    for word in text.replace("|", " ").split():
        name, beats = word.split(":")
        if name != "-":
            yield beat, name, float(beats)
        beat += float(beats)


def swung(beat, ratio):
    """Apply swing: moves the second eighth note of a beat to `ratio`, where 0.5 is straight and 0.67 a shuffle."""
    whole, part = divmod(beat, 1)
    return whole + (part * 2 * ratio if part <= 0.5 else ratio + (part - 0.5) * 2 * (1 - ratio))
