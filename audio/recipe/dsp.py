"""Signal processing: oscillators, envelopes, filters, and a stereo mixer with reverb.

A signal is a list of floats at RATE samples per second. Inner loops are comprehensions, `accumulate` or use local variables
only: without these, plain Python would take minutes instead of seconds.
"""

import math
from itertools import accumulate
from operator import add, mul

RATE = 44100
_TABLE = 8192


def samples(seconds):
    return int(seconds * RATE)


def wavetable(harmonics):
    """One period, from the amplitudes of the sine harmonics; the first is the fundamental."""
    table = [0.0] * _TABLE
    for n, level in enumerate(harmonics, start=1):
        if level:
            step = 2 * math.pi * n / _TABLE
            table = [t + level * math.sin(step * i) for i, t in enumerate(table)]
    return table


SINE = wavetable([1.0])


def oscillator(table, frequency, seconds, phase=0.0):
    step, start = frequency * _TABLE / RATE, phase * _TABLE
    return [table[int(start + step * i) % _TABLE] for i in range(samples(seconds))]


def oscillator_along(table, frequencies):
    """An oscillator with a signal as its frequency in Hz, for vibrato and pitch sweeps."""
    scale = _TABLE / RATE
    return [table[int(phase * scale) % _TABLE] for phase in accumulate(frequencies)]


def noise(random, seconds):
    return [random.uniform(-1.0, 1.0) for _ in range(samples(seconds))]


def times(signal, other):
    """Multiply by another signal or by a number."""
    if isinstance(other, (int, float)):
        return [s * other for s in signal]
    return list(map(mul, signal, other))


def plus(*signals):
    """Add signals; the result is as long as the shortest one."""
    return [sum(column) for column in zip(*signals)]


def decay(seconds, half_life):
    """An exponential decay from 1, with its half-life in seconds."""
    ratio = 0.5 ** (1 / (half_life * RATE))
    return list(accumulate([1.0] + [ratio] * (samples(seconds) - 1), mul))


def envelope(seconds, *points):
    """Linear interpolation between (seconds, level) points; the last level is held."""
    out, (here, level) = [], points[0]
    for there, target in points[1:]:
        n = samples(there) - samples(here)
        out += [level + (target - level) * i / n for i in range(n)]
        here, level = there, target
    n = samples(seconds)
    return (out + [level] * (n - len(out)))[:n]


def soften(signal, attack=0.003, release=0.02):
    """Fade in and out in place, against clicks. Attack and release are in seconds."""
    for i in range(a := min(samples(attack), len(signal))):
        signal[i] *= i / a
    for i in range(r := min(samples(release), len(signal))):
        signal[-1 - i] *= i / r
    return signal


def lowpass(signal, cutoff):
    """A one-pole low-pass filter; the cutoff is in Hz."""
    keep = math.exp(-2 * math.pi * cutoff / RATE)
    take = 1 - keep
    return list(accumulate(signal, lambda held, s: held * keep + s * take))


def highpass(signal, cutoff):
    return [s - low for s, low in zip(signal, lowpass(signal, cutoff))]


def sweep(signal, cutoffs, resonance=0.3):
    """A two-pole (state variable) low-pass filter with a signal as its cutoff in Hz; resonance is from 0 to below 1."""
    damping, turn, out = 2 * (1 - resonance), math.pi / RATE, []
    held_band = held_low = 0.0
    for s, cutoff in zip(signal, cutoffs):
        g = turn * cutoff
        band = (held_band + g * (s - held_low)) / (1 + g * (g + damping))
        low = held_low + g * band
        held_band, held_low = 2 * band - held_band, 2 * low - held_low
        out.append(low)
    return out


class Desk:
    """A mixing desk: mono signals to stereo, with a send bus for a shared reverb."""

    def __init__(self, seconds):
        self.seconds, self.length = seconds, samples(seconds)
        self.left, self.right, self.send = ([0.0] * self.length for _ in range(3))

    def play(self, signal, at, level=1.0, pan=0.0, send=0.2):
        """Mix in a signal that starts `at` seconds. Pan is from -1 (left) to 1 (right), with equal power."""
        start = samples(at)
        signal = signal[: self.length - start]
        angle = (pan + 1) * math.pi / 4
        for bus, gain in (self.left, math.cos(angle)), (self.right, math.sin(angle)), (self.send, send):
            if gain := gain * level:
                end = start + len(signal)
                bus[start:end] = map(add, bus[start:end], [s * gain for s in signal])

    def duck(self, levels):
        """Multiply the mix by a signal, like a compressor with a kick drum as its side chain."""
        self.left, self.right, self.send = (times(bus, levels) for bus in (self.left, self.right, self.send))

    def lay(self, other):
        """Add the mix of another desk."""
        self.left, self.right = plus(self.left, other.left), plus(self.right, other.right)
        self.send = plus(self.send, other.send)

    def master(self, room=0.8, damp=4500, wet=1.0, fade=1.0):
        """The left and right channels, with reverb, a 25 Hz high-pass filter and a fade-out of `fade` seconds."""
        return tuple(
            soften(highpass(plus(dry, times(_reverb(self.send, room, damp, spread), wet)), 25), 0.001, fade)
            for dry, spread in ((self.left, 0), (self.right, 23))
        )


def _reverb(signal, room, damp, spread):
    """A Schroeder reverb: parallel damped comb filters, then all-pass filters in series.

    `spread`, in samples, lengthens the delays, so that left and right differ.
    """
    total = [0.0] * len(signal)
    for delay in (1557, 1617, 1491, 1422, 1277, 1356):
        total = list(map(add, total, _comb(signal, delay + spread, 0.7 + 0.28 * room, damp)))
    for delay in (225, 556, 441):
        total = _allpass(total, delay + spread, 0.5)
    return times(total, 0.2)


def _comb(signal, delay, feedback, damp):
    # A block as long as the delay depends only on the block before, so each block is computed at once.
    keep = math.exp(-2 * math.pi * damp / RATE)
    take, held = (1 - keep) * feedback, 0.0
    out = [0.0] * delay
    for start in range(0, len(signal), delay):
        echo = []
        for s in out[-delay:]:
            held = held * keep + s * take
            echo.append(held)
        out += map(add, signal[start : start + delay], echo)
    return out[: len(signal)]


def _allpass(signal, delay, gain):
    held, out = [0.0] * delay, []
    for start in range(0, len(signal), delay):
        block = signal[start : start + delay]
        fresh = [s + gain * h for s, h in zip(block, held)]
        out += [h - gain * f for h, f in zip(held, fresh)]
        held = fresh
    return out
