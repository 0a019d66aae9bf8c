// PURE: the rules of a room, its presets, and who has which role.

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Rules} Rules */
/** @typedef {import('../types.js').Snapshot} Snapshot */

/** @type {Rules} */
export const DEFAULT_RULES = {
  control: 'everyone', picks: 'everyone', order: 'first', maxPicks: 0, skipShare: 0, djShare: 0.51, djCooldownSec: 300,
  uploads: 'everyone', chat: true, invite: 'everyone',
};

/** Complete sets of rules, so that a preset also ends what another one has set. */
export const PRESETS = /** @type {const} */ ({
  friends: DEFAULT_RULES,
  party: { ...DEFAULT_RULES, control: 'hosts', order: 'turns', maxPicks: 3, skipShare: 0.5 },
  dj: { ...DEFAULT_RULES, control: 'dj', skipShare: 0, djShare: 0.5 },
  jukebox: { ...DEFAULT_RULES, control: 'hosts', order: 'votes', skipShare: 0.5 },
});

/** @typedef {keyof typeof PRESETS} Preset */

/** Servers of older versions have no rules: everyone may do everything. @param {Pick<Snapshot, 'rules'>} room @returns {Rules} */
export function rulesOf(room) {
  return room.rules ?? DEFAULT_RULES;
}

/** @type {readonly MemberId[]} */
const NO_HOSTS = [];

/** @param {Pick<Snapshot, 'hosts'>} room @returns {readonly MemberId[]} */
export function hostsOf(room) {
  return room.hosts ?? NO_HOSTS;
}

/** @param {Pick<Snapshot, 'dj'>} room @returns {MemberId | null} */
export function djOf(room) {
  return room.dj ?? null;
}

/** @param {Pick<Snapshot, 'hosts'>} room @param {MemberId | null} memberId */
export function isHost(room, memberId) {
  return memberId !== null && hostsOf(room).includes(memberId);
}

/** Whether the member may do what hosts may: everyone may while there is no host. @param {Pick<Snapshot, 'hosts'>} room @param {MemberId | null} memberId */
export function hasHostRights(room, memberId) {
  return hostsOf(room).length === 0 || isHost(room, memberId);
}

/** @param {Rules} a @param {Rules} b */
function areSameRules(a, b) {
  return /** @type {(keyof Rules)[]} */ (Object.keys(DEFAULT_RULES)).every((name) => a[name] === b[name]);
}

/** @param {Rules} rules @returns {Preset | null} the preset that the rules are; `null`: none */
export function presetOf(rules) {
  return /** @type {Preset[]} */ (Object.keys(PRESETS)).find((name) => areSameRules(PRESETS[name], rules)) ?? null;
}

/**
 * Whether a DJ has a meaning in the room, so that the page shows who is DJ and the votes. Where no rule is about the DJ, one that there
 * is may still have rights that others lack.
 * @param {Snapshot} room
 */
export function hasDjRole(room) {
  const { control, picks, order, maxPicks } = rulesOf(room);
  if (control === 'dj' || picks === 'dj') return true;
  return djOf(room) !== null && (control !== 'everyone' || order !== 'first' || maxPicks > 0);
}

/** Whether the member is the last host, who cannot stop while a rule differs from its default. @param {Snapshot} room @param {MemberId | null} memberId */
export function isHeldHost(room, memberId) {
  return isHost(room, memberId) && hostsOf(room).length === 1 && presetOf(rulesOf(room)) !== 'friends';
}

/** Whether listeners can skip together. @param {Snapshot} room */
export function canSkipTogether(room) {
  const { control, skipShare } = rulesOf(room);
  return control !== 'everyone' && skipShare > 0;
}
