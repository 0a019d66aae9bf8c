// Loudspeakers that nobody hears, one for each phone, and a recorder that hears all of them at once. They are
// channels of one sink that is recorded as a whole, so nothing shifts one phone's sound against another's.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { start } from '../engines/processes.mjs';
import { RATE } from './listen.mjs';
import { pressedFor } from './machine.mjs';

const SINK = 'party';
const BLOCK_MS = 2;
const LIMIT_MS = 10_000;

/** For so long at the beginning of a recording it is watched how it grows, to know when it began. */
const WATCH_MS = 400;

/** @typedef {Awaited<ReturnType<typeof openSpeakers>>} Speakers */

/**
 * @typedef {object} Recording
 * @property {Float32Array[]} sounds one of each phone, both of its channels in one
 * @property {number} startedMs when it began by `Date.now()`, to some 5 ms: for how long a press takes, never for skew
 * @property {number} stalled the share of the time for which something had to wait for a processor
 */

/** @param {number} phones */
export async function openSpeakers(phones) {
  const home = await mkdtemp(join(tmpdir(), 'lockstep-skew-'));
  const channels = Array.from({ length: 2 * phones }, (_, i) => `aux${i}`);
  const env = { HOME: home, XDG_RUNTIME_DIR: home, LC_ALL: 'C', PULSE_SERVER: `unix:${join(home, 'socket')}` };
  const modules = [
    `module-native-protocol-unix auth-anonymous=1 socket=${join(home, 'socket')}`,
    // With rewinds, as much of a sound's beginning is missing from the recording as was rendered ahead.
    `module-null-sink sink_name=${SINK} norewinds=1 format=float32le rate=${RATE} channels=${channels.length} channel_map=${channels}`,
    ...Array.from({ length: phones }, (_, k) =>
      `module-remap-sink sink_name=phone${k} master=${SINK} remix=no channels=2 channel_map=front-left,front-right master_channel_map=${channels.slice(2 * k, 2 * k + 2)}`),
  ];
  const args = ['-n', '--daemonize=no', '--use-pid-file=no', '--exit-idle-time=-1', '--high-priority=1', '--realtime=1'];
  const logs = ['--log-level=info', '--log-target=stderr'];
  const server = start('pulseaudio', [...args, ...logs, ...modules.flatMap((module) => ['-L', module])], env);

  const capture = (/** @type {string} */ file) =>
    start('parec', [
      ...[`--device=${SINK}.monitor`, '--raw', '--format=s16le', `--rate=${RATE}`, `--channels=${channels.length}`],
      ...[`--channel-map=${channels}`, '--no-remix', `--latency-msec=${BLOCK_MS}`, file],
    ], env);
  /** @type {ReturnType<typeof start>[]} */
  const running = [server];

  async function end() {
    for (const program of running.reverse()) await program.end();
    await rm(home, { recursive: true, force: true });
  }

  try {
    await server.says(/Daemon startup complete/);
    // The sink renders in blocks as long as its most patient listener wants them. One that stays wants short ones;
    // else all phones would fall into step with the blocks, as no two devices do.
    running.push(capture('/dev/null'));
    const block = new RegExp(`configured ${BLOCK_MS}000 usec`);
    for (const end = Date.now() + LIMIT_MS; ; await sleep(20)) {
      const { stdout } = await promisify(execFile)('pactl', ['list', 'sinks'], { env: { ...process.env, ...env } });
      if (block.test(stdout)) break;
      if (Date.now() > end) throw new Error(`the sink never renders in blocks of ${BLOCK_MS} ms`);
    }
  } catch (error) {
    await end();
    throw error;
  }

  /** Records until it is stopped. */
  async function record() {
    const file = join(home, `recording-${running.length}`);
    const recorder = capture(file);
    running.push(recorder);
    const pressed = pressedFor();
    let startedMs = Infinity;
    const began = Date.now();
    while (startedMs === Infinity || Date.now() < began + WATCH_MS) {
      const { size } = await stat(file).catch(() => ({ size: 0 }));
      // What is there has been played by now, so the earliest start that this allows is the right one.
      if (size > 0) startedMs = Math.min(startedMs, Date.now() - (size / (2 * channels.length) / RATE) * 1_000);
      if (Date.now() > began + LIMIT_MS) throw new Error('the recorder hears nothing');
      await sleep(5);
    }
    return {
      /** @returns {Promise<Recording>} */
      stop: async () => {
        const stalled = pressed();
        await recorder.end();
        const bytes = await readFile(file);
        await rm(file);
        const frames = Math.floor(bytes.length / (2 * channels.length));
        const samples = new Int16Array(bytes.buffer, bytes.byteOffset, frames * channels.length);
        return { sounds: channels.slice(phones).map((_, k) => soundOf(samples, frames, channels.length, k)), startedMs, stalled };
      },
    };
  }

  return {
    /** The environment of a program that is to sound from that phone. @param {number} k */
    env: (k) => ({ PULSE_SERVER: env.PULSE_SERVER, PULSE_SINK: `phone${k}` }),
    record,
    end,
  };
}

/**
 * @param {Int16Array} samples
 * @param {number} frames
 * @param {number} channels
 * @param {number} phone
 */
function soundOf(samples, frames, channels, phone) {
  return Float32Array.from({ length: frames }, (_, i) => {
    const left = i * channels + 2 * phone;
    return (/** @type {number} */ (samples[left]) + /** @type {number} */ (samples[left + 1])) / 65_536;
  });
}
