// Lets the system's Back close what is open, the latest first: sheets, menus, pages of the library. On Android, Back would leave
// the page and end its music. Browsers without CloseWatcher (Safari, Firefox before 149) get one history entry for each open
// one, which Back removes.

/** What closes each open one, the latest last. @type {(() => void)[]} */
const claims = [];

/** @typedef {{onclose: (() => void) | null, destroy: () => void}} CloseWatcher */
const CloseWatcher = /** @type {{CloseWatcher?: new () => CloseWatcher}} */ (globalThis).CloseWatcher;
/** Exists while there are claims. There is never a second one: without a user gesture, browsers would group them. @type {CloseWatcher | null} */
let watcher = null;

/** Whether the `popstate` of this module's own `history.go()` has not arrived yet. */
let isGoing = false;

/** An address for which there will be an entry once `history.go()` has arrived. @type {string | null} */
let waitingAddress = null;

/** The address that the entry below those of what was closed gets once `history.go()` has arrived. @type {string | null} */
let waitingReplacement = null;

/** Number of history entries for claims. After a reload there may be entries without claims. @returns {number} */
const entryCount = () => history.state?.claimCount ?? 0;

function closeLatest() {
  const remaining = claims.length - 1;
  claims.at(-1)?.();
  // The claim must not stay, or Back would never leave the page.
  claims.length = Math.min(claims.length, Math.max(0, remaining));
}

function updateWatcher() {
  if (claims.length === 0) {
    watcher?.destroy();
    watcher = null;
  } else if (CloseWatcher && !watcher) {
    watcher = new CloseWatcher();
    watcher.onclose = () => {
      watcher = null;
      closeLatest();
      update();
    };
  }
}

function updateEntries() {
  if (isGoing) return;
  while (entryCount() < claims.length) history.pushState({ claimCount: entryCount() + 1 }, '');
  if (entryCount() === claims.length) return;
  isGoing = true;
  history.go(claims.length - entryCount());
}

const update = CloseWatcher ? updateWatcher : updateEntries;

if (!CloseWatcher) {
  addEventListener('popstate', () => {
    if (!isGoing) while (claims.length > entryCount()) closeLatest();
    isGoing = false;
    if (waitingReplacement !== null) replaceAddress(waitingReplacement);
    if (waitingAddress !== null) pushAddress(waitingAddress);
    updateEntries();
  });
}

/** Closes everything that Back would close. */
export function closeAll() {
  while (claims.length > 0) closeLatest();
}

/**
 * Changes the address of the page, so that Back leads to the one before. The entry of something that was closed a moment ago is
 * reused.
 * @param {string} url
 */
export function pushAddress(url) {
  waitingAddress = isGoing ? url : null;
  if (isGoing) return;
  const state = CloseWatcher ? null : { claimCount: claims.length };
  if (!CloseWatcher && entryCount() > claims.length) history.replaceState(state, '', url);
  else history.pushState(state, '', url);
}

/**
 * Corrects the address of the page, without a step for Back; also the address of the page's own entry, if what is open has entries above
 * it which are about to go.
 * @param {string} url
 */
export function replaceAddress(url) {
  history.replaceState(history.state, '', url);
  waitingReplacement = !CloseWatcher && (isGoing || entryCount() > claims.length) ? url : null;
}

/** Lets Back call `close`, until `releaseBack(close)`, which `close` has to call. @param {() => void} close */
export function claimBack(close) {
  claims.push(close);
  // One that replaces another gets its history entry.
  queueMicrotask(update);
}

/** To be called when what `close` closes was closed. Others' claims stay. @param {() => void} close */
export function releaseBack(close) {
  const index = claims.lastIndexOf(close);
  if (index < 0) return;
  claims.splice(index, 1);
  queueMicrotask(update);
}
