// JSON Patch (RFC 6902), pure: the document that went in is never changed, and what a patch does
// not touch is shared between the old document and the new one.

/** @typedef {import('./types.js').Json} Json */
/** @typedef {import('./types.js').PatchOperation} PatchOperation */

/** A patch that does not fit the document. */
export class PatchError extends Error {}

/**
 * @param {Json} document
 * @param {readonly PatchOperation[]} operations
 * @returns {Json} the document after all of them
 */
export function applyPatch(document, operations) {
  return operations.reduce(applyOne, document);
}

/**
 * @param {Json} document
 * @param {PatchOperation} operation
 * @returns {Json}
 */
function applyOne(document, operation) {
  const path = parse(operation.path);
  switch (operation.op) {
    case 'add':
      return add(document, path, valueOf(operation));
    case 'remove':
      return remove(document, path);
    case 'replace':
      return replace(document, path, valueOf(operation));
    case 'copy':
      return add(document, path, read(document, fromOf(operation)));
    case 'move': {
      const from = fromOf(operation);
      if (from.length < path.length && from.every((key, i) => key === path[i])) {
        throw new PatchError('a value cannot be moved into itself');
      }
      return add(remove(document, from), path, read(document, from));
    }
    case 'test':
      if (!equal(read(document, path), valueOf(operation))) {
        throw new PatchError(`the value at ${operation.path} is another`);
      }
      return document;
    default:
      throw new PatchError(`unknown operation ${operation.op}`);
  }
}

/** @param {PatchOperation} operation */
function valueOf(operation) {
  if (operation.value === undefined) throw new PatchError(`${operation.op} without a value`);
  return operation.value;
}

/** @param {PatchOperation} operation */
function fromOf(operation) {
  if (operation.from === undefined) throw new PatchError(`${operation.op} without from`);
  return parse(operation.from);
}

/**
 * A JSON Pointer (RFC 6901) as its keys.
 * @param {string} pointer
 */
function parse(pointer) {
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) throw new PatchError(`${pointer} is not a pointer`);
  return pointer
    .slice(1)
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/**
 * @param {Json} node
 * @param {string[]} path
 * @returns {Json}
 */
function read(node, path) {
  return path.reduce(child, node);
}

/**
 * @param {Json} node
 * @param {string} key
 * @returns {Json}
 */
function child(node, key) {
  if (Array.isArray(node)) {
    return /** @type {Json} */ (node[index(key, node.length - 1)]);
  }
  if (node === null || typeof node !== 'object' || !Object.hasOwn(node, key)) {
    throw new PatchError(`there is no ${key}`);
  }
  return /** @type {Json} */ (node[key]);
}

/**
 * @param {string} key
 * @param {number} last the greatest index allowed
 */
function index(key, last) {
  const position = /^(0|[1-9]\d*)$/.test(key) ? Number(key) : NaN;
  if (!(position <= last)) throw new PatchError(`${key} is outside the list`);
  return position;
}

/**
 * Rebuilds the containers along `path` with what `change` makes of the last one.
 * @param {Json} node
 * @param {string[]} path
 * @param {(container: Json, key: string) => Json} change
 * @returns {Json}
 */
function rebuild(node, path, change) {
  const [key, ...rest] = path;
  if (key === undefined) throw new PatchError('the whole document cannot go');
  if (rest.length === 0) return change(node, key);
  const next = rebuild(child(node, key), rest, change);
  return put(node, key, next);
}

/**
 * @param {Json} node
 * @param {string} key
 * @param {Json} value
 * @returns {Json}
 */
function put(node, key, value) {
  return Array.isArray(node)
    ? node.with(index(key, node.length - 1), value)
    : { .../** @type {{[key: string]: Json}} */ (node), [key]: value };
}

/**
 * @param {Json} document
 * @param {string[]} path
 * @param {Json} value
 * @returns {Json}
 */
function add(document, path, value) {
  if (path.length === 0) return value;
  return rebuild(document, path, (container, key) => {
    if (Array.isArray(container)) {
      const at = key === '-' ? container.length : index(key, container.length);
      return container.toSpliced(at, 0, value);
    }
    if (container === null || typeof container !== 'object') {
      throw new PatchError(`nothing can be added at ${key}`);
    }
    return { ...container, [key]: value };
  });
}

/**
 * @param {Json} document
 * @param {string[]} path
 * @returns {Json}
 */
function remove(document, path) {
  return rebuild(document, path, (container, key) => {
    child(container, key);
    if (Array.isArray(container)) return container.toSpliced(Number(key), 1);
    const { [key]: _, ...rest } = /** @type {{[key: string]: Json}} */ (container);
    return rest;
  });
}

/**
 * @param {Json} document
 * @param {string[]} path
 * @param {Json} value
 * @returns {Json}
 */
function replace(document, path, value) {
  read(document, path);
  return path.length === 0 ? value : rebuild(document, path, (node, key) => put(node, key, value));
}

/**
 * @param {Json} a
 * @param {Json} b
 * @returns {boolean}
 */
function equal(a, b) {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equal(child(a, key), child(b, key)))
  );
}
