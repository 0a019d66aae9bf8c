"""Writing music down: note names and melodies in one line of text. Nothing here makes a sound."""

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"#": 1, "b": -1}


def pitch(name):
    """The MIDI number of a note such as F#4; C4 is 60."""
    accidentals = sum(_ACCIDENTALS[sign] for sign in name[1:-1])
    return 12 * (int(name[-1]) + 1) + _STEPS[name[0]] + accidentals


def hz(note):
    """The frequency of a note by its name or MIDI number."""
    number = pitch(note) if isinstance(note, str) else note
    return 440.0 * 2 ** ((number - 69) / 12)


def chord(names):
    """The frequencies of notes set apart by spaces."""
    return [hz(name) for name in names.split()]


def melody(text, start=0.0):
    """Read "C5:1.5 -:.5 G4:2" (note:beats, - for a rest, | for the eye only) as (beat, note name, beats)."""
    beat = start
    for word in text.replace("|", " ").split():
        name, beats = word.split(":")
        if name != "-":
            yield beat, name, float(beats)
        beat += float(beats)


def swung(beat, ratio):
    """Move the second eighth of a beat from the middle to a ratio: 0.5 is straight, 0.67 is a shuffle."""
    whole, part = divmod(beat, 1)
    return whole + (part * 2 * ratio if part <= 0.5 else ratio + (part - 0.5) * 2 * (1 - ratio))
