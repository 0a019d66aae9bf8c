// Messages between the tabs of one browser that have this page open.

/** The key of localStorage, and the name of the BroadcastChannel, of the tabs that share the sound. */
const NAME = 'lockstep.tabs';

/**
 * Where the browser refuses both ways (blocked cookies), nothing is sent, and each tab behaves as if it were the only one.
 * @param {(message: any) => void} onMessage called for the messages of other tabs
 * @param {string} [name] of the channel
 * @returns {(message: object) => void} sends a message to the other tabs
 */
export function openTabChannel(onMessage, name = NAME) {
  try {
    const channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }) => onMessage(data);
    return (message) => channel.postMessage(message);
  } catch {
    addEventListener('storage', ({ key, newValue }) => {
      if (key === name && newValue !== null) onMessage(JSON.parse(newValue));
    });
    return (message) => {
      try {
        // Only a changed value causes an event; the messages contain the time.
        localStorage.setItem(name, JSON.stringify(message));
      } catch {
        // As stated above.
      }
    };
  }
}
