// A loudspeaker that nobody hears: a sound server of the tests' own, which takes sound as fast as
// a real one would. Firefox gives up a track where there is no sound device at all. A microphone before it hears
// whatever is played.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './processes.mjs';

/** @returns {Promise<{env: NodeJS.ProcessEnv, end: () => Promise<void>}>} the environment of who wants to play on it */
export async function openLoudspeaker() {
  const home = await mkdtemp(join(tmpdir(), 'lockstep-sound-'));
  const socket = join(home, 'socket');
  // Without `norewinds` it renders two seconds ahead, and what begins meanwhile is often heard that much later.
  // Browsers offer no monitor as a microphone, but what is made of one.
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
  await server.says(/Daemon startup complete/).catch(async (error) => {
    await end();
    throw error;
  });
  return { env: { PULSE_SERVER: `unix:${socket}`, PULSE_SOURCE: 'microphone' }, end };
}
