// PURE: JSON Patch (RFC 6902). The input document is never modified; the parts that a patch does not touch are shared
// by the old and the new document.

/** @typedef {import('../types.js').Json} Json */
/** @typedef {import('../types.js').PatchOperation} PatchOperation */

/** The patch is malformed, or cannot be applied to the document. */
export class PatchError extends Error {}

/**
 * @param {Json} document
 * @param {readonly PatchOperation[]} operations
 * @returns {Json}
 * @throws {PatchError}
 */
export function applyPatch(document, operations) {
  return operations.reduce(applyOperation, document);
}

/** @param {Json} document @param {PatchOperation} operation @returns {Json} */
function applyOperation(document, operation) {
  const path = parsePointer(operation.path);
  switch (operation.op) {
    case 'add':
      return add(document, path, requireValue(operation));
    case 'remove':
      return remove(document, path);
    case 'replace':
      return replace(document, path, requireValue(operation));
    case 'copy':
      return add(document, path, read(document, parseFrom(operation)));
    case 'move': {
      const from = parseFrom(operation);
      if (from.length < path.length && from.every((key, i) => key === path[i])) {
        throw new PatchError('a value cannot be moved into one of its own children');
      }
      return add(remove(document, from), path, read(document, from));
    }
    case 'test':
      if (!isDeepEqual(read(document, path), requireValue(operation))) {
        throw new PatchError(`test failed at ${operation.path}`);
      }
      return document;
    default:
      throw new PatchError(`unknown operation “${operation.op}”`);
  }
}

/** @param {PatchOperation} operation */
function requireValue(operation) {
  if (operation.value === undefined) throw new PatchError(`${operation.op} without a value`);
  return operation.value;
}

/** @param {PatchOperation} operation */
function parseFrom(operation) {
  if (operation.from === undefined) throw new PatchError(`${operation.op} without from`);
  return parsePointer(operation.from);
}

/** Splits a JSON Pointer (RFC 6901) into its keys. @param {string} pointer */
function parsePointer(pointer) {
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) throw new PatchError(`“${pointer}” is not a JSON Pointer`);
  return pointer
    .slice(1)
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** @param {Json} node @param {string[]} path @returns {Json} */
function read(node, path) {
  return path.reduce(child, node);
}

/** @param {Json} node @param {string} key @returns {Json} */
function child(node, key) {
  if (Array.isArray(node)) {
    return /** @type {Json} */ (node[parseIndex(key, node.length - 1)]);
  }
  if (node === null || typeof node !== 'object' || !Object.hasOwn(node, key)) {
    throw new PatchError(`no key “${key}”`);
  }
  return /** @type {Json} */ (node[key]);
}

/** @param {string} key @param {number} maxIndex */
function parseIndex(key, maxIndex) {
  const index = /^(0|[1-9]\d*)$/.test(key) ? Number(key) : NaN;
  if (!(index <= maxIndex)) throw new PatchError(`no array index “${key}”`);
  return index;
}

/**
 * Copies the arrays and objects along `path`, and replaces the last of them by the result of `change`.
 * @param {Json} node
 * @param {string[]} path
 * @param {(container: Json, key: string) => Json} change
 * @returns {Json}
 */
function rebuild(node, path, change) {
  const [key, ...rest] = path;
  if (key === undefined) throw new PatchError('the whole document cannot be removed');
  if (rest.length === 0) return change(node, key);
  const next = rebuild(child(node, key), rest, change);
  return put(node, key, next);
}

/** @param {Json} node @param {string} key @param {Json} value @returns {Json} */
function put(node, key, value) {
  return Array.isArray(node)
    ? spliced(node, parseIndex(key, node.length - 1), 1, value)
    : { .../** @type {{[key: string]: Json}} */ (node), [key]: value };
}

/** A changed copy; `toSpliced` is missing before iOS 16. @param {Json[]} array @param {Parameters<Json[]['splice']>} change */
function spliced(array, ...change) {
  const copy = [...array];
  copy.splice(...change);
  return copy;
}

/** @param {Json} document @param {string[]} path @param {Json} value @returns {Json} */
function add(document, path, value) {
  if (path.length === 0) return value;
  return rebuild(document, path, (container, key) => {
    if (Array.isArray(container)) {
      const index = key === '-' ? container.length : parseIndex(key, container.length);
      return spliced(container, index, 0, value);
    }
    if (container === null || typeof container !== 'object') {
      throw new PatchError(`no array or object to add “${key}” to`);
    }
    return { ...container, [key]: value };
  });
}

/** @param {Json} document @param {string[]} path @returns {Json} */
function remove(document, path) {
  return rebuild(document, path, (container, key) => {
    child(container, key);
    if (Array.isArray(container)) return container.filter((_, i) => i !== Number(key));
    const { [key]: _, ...rest } = /** @type {{[key: string]: Json}} */ (container);
    return rest;
  });
}

/** @param {Json} document @param {string[]} path @param {Json} value @returns {Json} */
function replace(document, path, value) {
  read(document, path);
  return path.length === 0 ? value : rebuild(document, path, (node, key) => put(node, key, value));
}

/** @param {Json} a @param {Json} b @returns {boolean} */
function isDeepEqual(a, b) {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isDeepEqual(child(a, key), child(b, key)))
  );
}
