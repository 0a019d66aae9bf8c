"""The instruments: each function returns a mono signal of about full scale, for a frequency in Hz and a length in seconds.

Pitched instruments cache their signals, because notes repeat; callers must not change a signal in place.
"""

import cmath
import math
from functools import lru_cache
from itertools import accumulate, repeat
from operator import mul
from random import Random

from .dsp import (
    RATE,
    SINE,
    decay,
    envelope,
    highpass,
    lowpass,
    noise,
    oscillator,
    oscillator_along,
    plus,
    samples,
    soften,
    sweep,
    times,
    wavetable,
)


@lru_cache(None)
def _saw_table(harmonics, slope):
    return wavetable([n**-slope for n in range(1, harmonics + 1)])


@lru_cache(None)
def _pulse_table(harmonics, duty):
    return wavetable([math.sin(math.pi * n * duty) / n for n in range(1, harmonics + 1)])


def _below(limit, frequency, most):
    """The number of harmonics below a limit in Hz, from 1 to `most`."""
    return max(1, min(most, int(limit / frequency)))


def _ring(frequency, half_life, seconds):
    """One vibration mode of a struck body: a sine with exponential decay."""
    if frequency > RATE * 0.4:
        return [0.0] * samples(seconds)
    turn = 0.5 ** (1 / (half_life * RATE)) * cmath.exp(2j * math.pi * frequency / RATE)
    return [z.imag for z in accumulate(repeat(turn, samples(seconds)), mul)]


@lru_cache(None)
def plucked_string(frequency, seconds, brightness=0.5, ring=1.0):
    """Karplus-Strong synthesis: noise in a delay line with an averaging filter. Brightness and ring are from 0 to 1."""
    random = Random(f"string {frequency:.2f}")
    period = RATE / frequency - 0.5
    length = int(period - 0.2)
    part = period - length
    tune = (1 - part) / (1 + part)
    line = lowpass(noise(random, length / RATE + 0.001)[:length], 1200 + 7000 * brightness)
    # A string plucked at a fifth of its length lacks the harmonics that have a node there.
    pick = max(1, length // 5)
    line = [a - b for a, b in zip(line, line[-pick:] + line[:-pick])]
    mean = sum(line) / length
    line = [a - mean for a in line]
    loss = 0.5 * (0.9965 + 0.0032 * ring) ** min(1.0, 330 / frequency)
    last = held_in = held_out = 0.0
    out = []
    for i in range(samples(seconds)):
        at = i % length
        s = line[at]
        averaged = loss * (s + last)
        last = s
        held_out = tune * (averaged - held_out) + held_in
        held_in = averaged
        line[at] = held_out
        out.append(s)
    body = lowpass(out, 240)
    sound = [s + 0.7 * b for s, b in zip(out, body)]
    # Short delay lines hold less noise, so the power just after the attack is normalized.
    start = sound[: samples(0.2)]
    power = sum(s * s for s in start) / len(start)
    return soften(times(sound, 0.3 / math.sqrt(power)), 0.0025, 0.15)


@lru_cache(None)
def pad(frequency, seconds, side):
    """Two detuned saws with a slow envelope. Side 0 or 1 selects the detuning, for left and right."""
    table = _saw_table(_below(5000, frequency, 24), 1.3)
    drift = 0.0016 + 0.0009 * side
    voices = plus(
        oscillator(table, frequency * (1 + drift), seconds, 0.13 + 0.31 * side),
        oscillator(table, frequency * (1 - drift), seconds, 0.57 + 0.19 * side),
    )
    swell = envelope(seconds, (0, 0), (seconds * 0.3, 0.8), (seconds * 0.6, 1), (seconds, 0))
    return times(times(voices, swell), 0.4)


@lru_cache(None)
def flute(frequency, seconds):
    """A soft, nearly sinusoidal tone with delayed vibrato."""
    deep = envelope(seconds, (0, 0), (min(0.5, seconds / 2), 0), (min(1.2, seconds), 1))
    wobble = oscillator(SINE, 4.6, seconds)
    tone = oscillator_along(
        wavetable([1, 0.18, 0.09, 0.02]), [frequency * (1 + 0.004 * d * w) for d, w in zip(deep, wobble)]
    )
    return times(tone, envelope(seconds, (0, 0), (0.18, 0.9), (seconds * 0.6, 0.75), (seconds, 0)))


@lru_cache(None)
def strings(frequency, seconds):
    """A string section of three players, slightly out of tune with each other."""
    table = _saw_table(_below(6500, frequency, 30), 1.15)
    players = []
    for tuning, rate, phase in (1.0, 5.1, 0.0), (1.0028, 5.6, 0.4), (0.9974, 4.7, 0.7):
        wobble = oscillator(SINE, rate, seconds, phase)
        players.append(oscillator_along(table, [frequency * tuning * (1 + 0.003 * w) for w in wobble]))
    bow = envelope(seconds, (0, 0), (min(0.22, seconds / 3), 0.85), (seconds * 0.7, 1), (seconds, 0))
    return times(times(lowpass(plus(*players), 2600), bow), 0.5)


@lru_cache(None)
def pizzicato(frequency, seconds=0.7):
    return plus(
        times(plucked_string(frequency, seconds, 0.15, 0.0), decay(seconds, 0.13)),
        times(_ring(frequency, 0.09, seconds), 0.3),
    )


@lru_cache(None)
def electric_piano(frequency, seconds, touch):
    """Frequency modulation that imitates tine and pickup; touch, from 0 to 1, sets the brightness."""
    tail = seconds + 0.25
    length = _half_life(frequency, 1.1)
    bite = times(decay(tail, 0.22), 0.55 + 1.5 * touch)
    step, depth = len(SINE) * frequency / RATE, len(SINE) / (2 * math.pi)
    size = len(SINE)
    tone = [SINE[int(step * i + depth * (0.12 + b) * SINE[int(step * i) % size]) % size] for i, b in enumerate(bite)]
    tine = times(_ring(frequency * 14.02, 0.03, tail), 0.12 + 0.25 * touch)
    body = times(plus(tone, tine, times(_ring(frequency * 2, 0.5, tail), 0.2)), decay(tail, length))
    return soften(times(body, 0.8), 0.002, 0.25)


def _half_life(frequency, at_middle_c):
    """The half-life of a struck or plucked note: shorter for higher notes."""
    return at_middle_c * (262 / frequency) ** 0.5


@lru_cache(None)
def marimba(frequency, hardness=0.5):
    """A wooden bar with modes near two octaves and above three octaves over the fundamental."""
    seconds = 1.2
    life = _half_life(frequency, 0.17)
    return soften(
        plus(
            _ring(frequency, life, seconds),
            times(_ring(frequency * 3.98, life * 0.3, seconds), 0.32 * hardness + 0.08),
            times(_ring(frequency * 10.1, 0.012, seconds), 0.3 * hardness),
        ),
        0.0008,
        0.1,
    )


@lru_cache(None)
def vibraphone(frequency, seconds):
    tone = plus(_ring(frequency, 0.9, seconds), times(_ring(frequency * 4.0, 0.3, seconds), 0.14))
    motor = [1 + 0.25 * w for w in oscillator(SINE, 5.2, seconds)]
    return soften(times(tone, motor), 0.003, 0.3)


@lru_cache(None)
def music_box(frequency):
    """A steel tooth: a cantilever, whose second mode is 6.27 times the first and decays fast."""
    seconds = 2.2
    life = _half_life(frequency, 0.75)
    return soften(
        plus(
            _ring(frequency, life, seconds),
            times(_ring(frequency * 2.003, life * 0.5, seconds), 0.22),
            times(_ring(frequency * 3.01, life * 0.25, seconds), 0.1),
            times(_ring(frequency * 6.27, 0.035, seconds), 0.2),
        ),
        0.0006,
        0.3,
    )


@lru_cache(None)
def upright_bass(frequency, seconds):
    string = plucked_string(frequency, seconds + 0.1, 0.12, 0.7)
    tone = oscillator(wavetable([1, 0.45, 0.2, 0.06]), frequency, seconds + 0.1)
    mixed = plus(times(tone, times(decay(seconds + 0.1, 0.5), 0.75)), times(string, 0.6))
    return soften(lowpass(mixed, 900), 0.006, 0.1)


@lru_cache(None)
def synth_bass(frequency, seconds):
    saw = oscillator(_saw_table(_below(6000, frequency, 60), 1.0), frequency, seconds)
    body = sweep(saw, [180 + 1500 * e for e in decay(seconds, 0.05)], 0.55)
    return soften(plus(times(body, 0.6), times(oscillator(SINE, frequency, seconds), 0.5)), 0.004, 0.04)


@lru_cache(None)
def stab(frequency, seconds, side):
    """A short, bright saw for house chords, to be filtered by the piece. Side 0 or 1 selects the detuning."""
    table = _saw_table(_below(9000, frequency, 40), 1.0)
    detune = 1.003 if side else 0.997
    saws = plus(oscillator(table, frequency, seconds, 0.2), oscillator(table, frequency * detune, seconds, 0.6))
    return soften(times(times(saws, decay(seconds, 0.16)), 0.35), 0.003, 0.05)


@lru_cache(None)
def bleep(frequency, seconds):
    """A filtered square wave for house leads."""
    tone = oscillator(_pulse_table(_below(8000, frequency, 24), 0.5), frequency, seconds)
    soft = sweep(tone, [700 + 2600 * e for e in decay(seconds, 0.09)], 0.3)
    return soften(times(soft, decay(seconds, 0.25)), 0.003, 0.06)


@lru_cache(None)
def chip_pulse(frequency, seconds, duty):
    """The pulse channel of a game console, with delayed vibrato."""
    deep = envelope(seconds, (0, 0), (0.22, 0), (0.4, 0.008))
    wobble = oscillator(SINE, 6.0, seconds)
    table = _pulse_table(_below(9500, frequency, 40), duty)
    tone = oscillator_along(table, [frequency * (1 + d * w) for d, w in zip(deep, wobble)])
    return soften(times(tone, envelope(seconds, (0, 0.75), (0.08, 0.55), (seconds, 0.35))), 0.001, 0.012)


@lru_cache(None)
def chip_triangle(frequency, seconds):
    harmonics = _below(9500, frequency, 25)
    table = wavetable([(-1) ** (n // 2) / n**2 if n % 2 else 0 for n in range(1, harmonics + 1)])
    return soften(oscillator(table, frequency, seconds), 0.001, 0.015)


def chip_noise(random, seconds, pitch, half_life):
    """The noise channel of a game console: random steps at the rate `pitch` in Hz."""
    hold = max(1, int(RATE / pitch))
    steps = [random.choice((-1.0, 1.0)) for _ in range(samples(seconds) // hold + 1)]
    return soften([steps[i // hold] * d for i, d in enumerate(decay(seconds, half_life))], 0.0005, 0.005)


@lru_cache(None)
def kick(seconds=0.35):
    fall = [48 + 110 * e + 900 * e**12 for e in decay(seconds, 0.022)]
    return soften(times(oscillator_along(SINE, fall), decay(seconds, 0.09)), 0.0005, 0.05)


def hat(random, half_life):
    seconds = min(0.4, half_life * 7)
    return soften(
        times(highpass(highpass(noise(random, seconds), 7000), 6000), decay(seconds, half_life)), 0.0005, 0.01
    )


def clap(random):
    """Three claps in close succession."""
    seconds = 0.3
    spread = [0.0] * samples(seconds)
    for at, level in (0, 0.6), (0.011, 0.7), (0.023, 1.0):
        start = samples(at)
        for i, d in enumerate(decay(seconds - at - 0.001, 0.012 if level < 1 else 0.05)):
            spread[start + i] += d * level
    return soften(times(lowpass(highpass(noise(random, seconds), 900), 3800), spread), 0.0005, 0.02)


def brush_sweep(random, seconds):
    """A wire brush drawn around a snare drum."""
    hiss = lowpass(highpass(noise(random, seconds), 1800), 5200)
    return times(hiss, envelope(seconds, (0, 0), (seconds * 0.45, 1), (seconds, 0)))


def brush_tap(random):
    seconds = 0.22
    hiss = times(lowpass(highpass(noise(random, seconds), 900), 4200), decay(seconds, 0.035))
    return soften(plus(hiss, times(_ring(185, 0.03, seconds), 0.35)), 0.002, 0.03)


def ride(random):
    """A ride cymbal: inharmonic modes and a little noise."""
    seconds = 0.9
    modes = plus(*(_ring(f, 0.14, seconds) for f in (3151, 4427, 5639, 6917, 8753, 10337)))
    air = times(highpass(noise(random, seconds), 6500), decay(seconds, 0.05))
    return soften(plus(times(modes, 0.1), times(air, 0.6)), 0.001, 0.1)


def shaker(random):
    seconds = 0.11
    grains = highpass(noise(random, seconds), 4500)
    return times(grains, envelope(seconds, (0, 0), (0.035, 1), (seconds, 0)))


def foot(random):
    """A foot tapping on a wooden floor."""
    seconds = 0.25
    return soften(
        plus(_ring(88, 0.035, seconds), times(lowpass(noise(random, seconds), 500), decay(seconds, 0.012))),
        0.002,
        0.05,
    )
