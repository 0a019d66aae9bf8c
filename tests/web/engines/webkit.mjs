// WebKit as programs of GNOME have it, the nearest thing to an iPhone's browser on Linux: its
// MiniBrowser, driven by WebDriver over HTTP, on a display that nobody sees.

import { freePort, start } from './processes.mjs';

/** How long the driver may take until it listens. */
const START_LIMIT_MS = 30_000;
const LOOK_EVERY_MS = 50;

/**
 * @param {object} proxy as WebDriver spells it
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<import('./browser.mjs').Driver>}
 */
export async function openWebKit(proxy, env) {
  const screen = start('Xvfb', ['-displayfd', '1', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp']);
  /** @type {ReturnType<typeof start> | null} */
  let driver = null;
  const end = async () => {
    await driver?.end();
    await screen.end();
  };
  try {
    const [, display] = await screen.says(/(\d+)\n/);
    const port = await freePort();
    driver = start('WebKitWebDriver', [`--port=${port}`], {
      DISPLAY: `:${display}`,
      // There is no graphics card, and no session to ask for anything.
      GDK_BACKEND: 'x11',
      LIBGL_ALWAYS_SOFTWARE: '1',
      WEBKIT_DISABLE_COMPOSITING_MODE: '1',
      NO_AT_BRIDGE: '1',
      ...env,
    });
    const server = `http://127.0.0.1:${port}`;
    await listening(`${server}/status`);
    const { sessionId } = await call('POST', `${server}/session`, { capabilities: { alwaysMatch: { proxy } } });
    const session = (/** @type {string} */ path, /** @type {object} */ body = {}) => call('POST', `${server}/session/${sessionId}${path}`, body);
    await session('/window/rect', { width: 390, height: 844 });
    return {
      goto: (url) => session('/url', { url }),
      run: (script, args) => session('/execute/sync', { script, args }),
      click: (id) => session(`/element/${id}/click`),
      type: (id, text) => session(`/element/${id}/value`, { text }),
      clear: (id) => session(`/element/${id}/clear`),
      picture: () => call('GET', `${server}/session/${sessionId}/screenshot`),
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** @param {string} url */
async function listening(url) {
  const end = Date.now() + START_LIMIT_MS;
  while (!(await fetch(url).catch(() => null))) {
    if (Date.now() > end) throw new Error('WebKitWebDriver does not listen');
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/**
 * @param {string} method
 * @param {string} url
 * @param {object} [body]
 * @returns {Promise<any>}
 */
async function call(method, url, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${method} ${url}: ${value.error}: ${value.message}`);
  return value;
}
