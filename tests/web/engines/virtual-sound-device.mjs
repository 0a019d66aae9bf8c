// A PulseAudio server with a null sink, which consumes sound in real time, and a microphone source that records the sink's monitor.
// Without a sound device Firefox refuses to play.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './processes.mjs';

/** @returns {Promise<{env: NodeJS.ProcessEnv, end: () => Promise<void>}>} `env`: environment variables that make a browser use the device */
export async function openSoundDevice() {
  const home = await mkdtemp(join(tmpdir(), 'lockstep-sound-'));
  const socket = join(home, 'socket');
  // Without `norewinds` the null sink renders two seconds ahead, and new sound is often delayed by that time.
  // Browsers list remapped sources as microphones, but not monitors.
  const microphone = 'module-remap-source source_name=microphone master=room.monitor';
  const modules = ['module-null-sink sink_name=room norewinds=1', microphone, `module-native-protocol-unix auth-anonymous=1 socket=${socket}`];
  const args = ['-n', '--daemonize=no', '--use-pid-file=no', '--exit-idle-time=-1', '--log-level=info', '--log-target=stderr'];
  const server = start('pulseaudio', [...args, ...modules.flatMap((module) => ['-L', module])], {
    HOME: home,
    XDG_RUNTIME_DIR: home,
    LC_ALL: 'C',
  });
  const end = async () => {
    await server.end();
    await rm(home, { recursive: true, force: true });
  };
  await server.waitForOutput(/Daemon startup complete/).catch(async (error) => {
    await end();
    throw error;
  });
  return { env: { PULSE_SERVER: `unix:${socket}`, PULSE_SOURCE: 'microphone' }, end };
}
