// A virtual audio sink for each phone, and a recorder of all sinks. The sinks are channels of one PulseAudio sink, which is recorded as a
// whole, so that the recording adds no skew.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { start } from '../engines/processes.mjs';
import { RATE } from './analysis.mjs';
import { startCpuWaitMeasurement } from './machine.mjs';

const SINK = 'party';
/** The latency that the sink's clients request, which is its block size. */
const BLOCK_MS = 2;
const WAIT_TIMEOUT_MS = 10_000;

/** How long the size of a recording is sampled to estimate its start time. */
const START_SAMPLING_MS = 400;

/** @typedef {Awaited<ReturnType<typeof openSpeakers>>} Speakers */

/**
 * @typedef {object} Recording
 * @property {Float32Array[]} sounds one for each phone, its two channels mixed
 * @property {number} startedMs start time by `Date.now()`, to about 5 ms: precise enough for the time from a press to sound, but not for skew
 * @property {number} cpuWaitShare share of the time in which a task waited for a CPU
 */

/** @param {number} phoneCount */
export async function openSpeakers(phoneCount) {
  const home = await mkdtemp(join(tmpdir(), 'lockstep-skew-'));
  const channels = Array.from({ length: 2 * phoneCount }, (_, i) => `aux${i}`);
  const env = { HOME: home, XDG_RUNTIME_DIR: home, LC_ALL: 'C', PULSE_SERVER: `unix:${join(home, 'socket')}` };
  const modules = [
    `module-native-protocol-unix auth-anonymous=1 socket=${join(home, 'socket')}`,
    // With rewinds, PulseAudio 16 drops the beginning of a sound by the amount that was rendered ahead.
    `module-null-sink sink_name=${SINK} norewinds=1 format=float32le rate=${RATE} channels=${channels.length} channel_map=${channels}`,
    ...Array.from({ length: phoneCount }, (_, phoneIndex) =>
      `module-remap-sink sink_name=phone${phoneIndex} master=${SINK} remix=no channels=2 channel_map=front-left,front-right master_channel_map=${channels.slice(2 * phoneIndex, 2 * phoneIndex + 2)}`),
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
  const programs = [server];

  async function end() {
    for (const program of programs.reverse()) await program.end();
    await rm(home, { recursive: true, force: true });
  }

  try {
    await server.waitForOutput(/Daemon startup complete/);
    // The sink renders in blocks of the smallest latency that a client requests. A permanent client requests short blocks; otherwise
    // all phones would be aligned to the sink's long blocks, unlike separate devices.
    programs.push(capture('/dev/null'));
    const blockPattern = new RegExp(`configured ${BLOCK_MS}000 usec`);
    for (const deadline = Date.now() + WAIT_TIMEOUT_MS; ; await sleep(20)) {
      const { stdout } = await promisify(execFile)('pactl', ['list', 'sinks'], { env: { ...process.env, ...env } });
      if (blockPattern.test(stdout)) break;
      if (Date.now() > deadline) throw new Error(`the sink does not render in blocks of ${BLOCK_MS} ms`);
    }
  } catch (error) {
    await end();
    throw error;
  }

  /** Records until `stop` is called. */
  async function record() {
    const file = join(home, `recording-${programs.length}`);
    const recorder = capture(file);
    programs.push(recorder);
    const waitShare = startCpuWaitMeasurement();
    let startedMs = Infinity;
    const requestedAtMs = Date.now();
    while (startedMs === Infinity || Date.now() < requestedAtMs + START_SAMPLING_MS) {
      const { size } = await stat(file).catch(() => ({ size: 0 }));
      // Data reaches the file late, so each sample gives an upper bound of the start time.
      if (size > 0) startedMs = Math.min(startedMs, Date.now() - (size / (2 * channels.length) / RATE) * 1_000);
      if (Date.now() > requestedAtMs + WAIT_TIMEOUT_MS) throw new Error('the recording stays empty');
      await sleep(5);
    }
    return {
      /** @returns {Promise<Recording>} */
      stop: async () => {
        const cpuWaitShare = waitShare();
        await recorder.end();
        const bytes = await readFile(file);
        await rm(file);
        const frames = Math.floor(bytes.length / (2 * channels.length));
        const samples = new Int16Array(bytes.buffer, bytes.byteOffset, frames * channels.length);
        return { sounds: channels.slice(phoneCount).map((_, phoneIndex) => mixChannels(samples, frames, channels.length, phoneIndex)), startedMs, cpuWaitShare };
      },
    };
  }

  return {
    /** Environment variables that route a browser's sound to the sink of a phone. @param {number} phoneIndex */
    env: (phoneIndex) => ({ PULSE_SERVER: env.PULSE_SERVER, PULSE_SINK: `phone${phoneIndex}` }),
    /** Environment variables and the name of a microphone that hears all phones. */
    microphone: { env: { PULSE_SERVER: env.PULSE_SERVER }, name: `${SINK}.monitor` },
    record,
    end,
  };
}

/**
 * The mean of a phone's two channels, as samples between -1 and 1.
 * @param {Int16Array} samples
 * @param {number} frames
 * @param {number} channelCount
 * @param {number} phoneIndex
 */
function mixChannels(samples, frames, channelCount, phoneIndex) {
  return Float32Array.from({ length: frames }, (_, i) => {
    const left = i * channelCount + 2 * phoneIndex;
    return (/** @type {number} */ (samples[left]) + /** @type {number} */ (samples[left + 1])) / 65_536;
  });
}
