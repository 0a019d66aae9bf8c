// WebKitGTK's MiniBrowser, the Linux browser closest to Safari on iOS, controlled by WebDriver over HTTP on a virtual display.

import { freePort, start } from './processes.mjs';

const START_TIMEOUT_MS = 30_000;
const POLL_INTERVAL_MS = 50;

/**
 * @param {object} proxy WebDriver's proxy capability
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<import('./webdriver-phone.mjs').Driver>}
 */
export async function openWebKit(proxy, env) {
  const xServer = start('Xvfb', ['-displayfd', '1', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp']);
  /** @type {ReturnType<typeof start> | null} */
  let driver = null;
  const end = async () => {
    await driver?.end();
    await xServer.end();
  };
  try {
    const [, display] = await xServer.waitForOutput(/(\d+)\n/);
    const port = await freePort();
    driver = start('WebKitWebDriver', [`--port=${port}`], {
      DISPLAY: `:${display}`,
      // No GPU and no desktop session.
      GDK_BACKEND: 'x11',
      LIBGL_ALWAYS_SOFTWARE: '1',
      WEBKIT_DISABLE_COMPOSITING_MODE: '1',
      NO_AT_BRIDGE: '1',
      ...env,
    });
    const server = `http://127.0.0.1:${port}`;
    await waitForServer(`${server}/status`);
    const { sessionId } = await call('POST', `${server}/session`, { capabilities: { alwaysMatch: { proxy } } });
    const post = (/** @type {string} */ path, /** @type {object} */ body = {}) => call('POST', `${server}/session/${sessionId}${path}`, body);
    await post('/window/rect', { width: 390, height: 844 });
    return {
      goto: (url) => post('/url', { url }),
      run: (script, args) => post('/execute/sync', { script, args }),
      click: (id) => post(`/element/${id}/click`),
      type: (id, text) => post(`/element/${id}/value`, { text }),
      clear: (id) => post(`/element/${id}/clear`),
      screenshot: () => call('GET', `${server}/session/${sessionId}/screenshot`),
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** @param {string} url */
async function waitForServer(url) {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await fetch(url).catch(() => null))) {
    if (Date.now() > deadline) throw new Error('timed out waiting for WebKitWebDriver to listen');
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}

/**
 * Sends a WebDriver command, and returns its value.
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
