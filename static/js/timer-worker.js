// The worker side of timer.js. The message `{id, ms}` starts a timer that posts `id` back after `ms`; `{id, ms: null}`
// cancels that timer.

/** @type {Map<number, ReturnType<typeof setTimeout>>} */
const timers = new Map();

onmessage = ({ data: { id, ms } }) => {
  clearTimeout(timers.get(id));
  timers.delete(id);
  if (ms === null) return;
  const fire = () => {
    timers.delete(id);
    postMessage(id);
  };
  timers.set(id, setTimeout(fire, ms));
};
