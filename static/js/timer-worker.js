// The worker behind timer.js: told `{id, ms}` it answers `id` after so long; told `ms: null` it forgets.

/** @type {Map<number, ReturnType<typeof setTimeout>>} */
const running = new Map();

onmessage = ({ data: { id, ms } }) => {
  clearTimeout(running.get(id));
  running.delete(id);
  if (ms === null) return;
  const fire = () => {
    running.delete(id);
    postMessage(id);
  };
  running.set(id, setTimeout(fire, ms));
};
