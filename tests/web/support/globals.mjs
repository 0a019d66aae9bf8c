// Replaces global variables for the duration of a test.

/** The properties of `globalThis` that are replaced now, as they were before; `undefined` for a property that was missing. @type {Map<string, PropertyDescriptor | undefined>} */
const originals = new Map();

/**
 * Replaces properties of `globalThis` until the test ends. Later calls in the same test may replace them again.
 * @param {import('node:test').TestContext} t
 * @param {Record<string, unknown>} values
 */
export function replaceGlobals(t, values) {
  for (const [name, value] of Object.entries(values)) {
    if (!originals.has(name)) originals.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  t.after(restoreGlobals);
}

function restoreGlobals() {
  for (const [name, original] of originals) {
    if (original) Object.defineProperty(globalThis, name, original);
    else Reflect.deleteProperty(globalThis, name);
  }
  originals.clear();
}
