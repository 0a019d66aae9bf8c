// The rules of a room: presets, who may do what, votes, and the likely order of picks.

import assert from 'node:assert/strict';
import test from 'node:test';
import { messageText } from '../../../static/js/language/texts.js';
import { withPendingCommands } from '../../../static/js/room/optimistic.js';
import { controllingHosts, freePickCount, objection, objectionTo } from '../../../static/js/room/permissions.js';
import { DEFAULT_RULES, PRESETS, canSkipTogether, hasDjRole, presetOf } from '../../../static/js/room/rules.js';
import { djTally, djVoteAfterPress, neededVotes, skipTally } from '../../../static/js/room/votes.js';
import { applyMessage } from '../../../static/js/room/reducer.js';
import { rebase } from '../../../static/js/room/rebase.js';
import { formatNames } from '../../../static/js/format.js';
import { createCooldowns } from '../../../static/js/ui/rules/cooldowns.js';
import { room } from '../support/rooms.mjs';

const clients = { m1: { name: 'Ada' }, m2: { name: 'Ben' }, m3: { name: 'Cem' } };
const listener = { role: 'listener', download: null, playable: true };
/** Ada is host, Ben is DJ, Cem is neither. */
const ruledRoom = (/** @type {object} */ rules = {}, /** @type {object} */ overrides = {}) =>
  /** @type {any} */ (room({
    clients, hosts: ['m1'], dj: 'm2', djVotes: {}, skipVotes: [], rules: { ...DEFAULT_RULES, ...rules },
    live: { anchorAtMs: null, segue: null, listeners: { m1: listener, m2: listener, m3: listener } }, ...overrides,
  }));
const pick = (/** @type {string} */ trackId, /** @type {string | null} */ by = 'm1', rest = {}) => ({ trackId, by, votes: [], pinned: false, ...rest });
const reason = (/** @type {import('../../../static/js/language/texts.js').Message | null} */ message) => (message ? messageText(message) : 'may');

const ONLY_HOSTS = 'Ada is host, and only hosts may do this';
const DJ = 'Ben is DJ';
const OTHERS_PICKS = 'Another person added this: only Ben, Ada may change it';

/** [rules, right, what is said to Ada, Ben and Cem] */
const CASES = /** @type {[object, any, string[]][]} */ ([
  [{}, 'control', ['may', 'may', 'may']],
  [{ control: 'dj' }, 'control', ['may', 'may', DJ]],
  [{ control: 'hosts' }, 'control', ['may', ONLY_HOSTS, ONLY_HOSTS]],
  [{ picks: 'dj' }, 'control', ['may', 'may', 'may']],
  [{ picks: 'dj' }, 'pick', ['may', 'may', DJ]],
  [{ picks: 'hosts' }, 'pick', ['may', ONLY_HOSTS, ONLY_HOSTS]],
  [{ control: 'hosts' }, 'pick', ['may', 'may', 'may']],
  [{ picks: 'hosts' }, 'nudge', ['may', ONLY_HOSTS, ONLY_HOSTS]],
  [{ order: 'turns' }, 'nudge', ['may', 'may', DJ]],
  [{ order: 'votes' }, 'nudge', ['may', 'may', DJ]],
  [{}, 'unpick', ['may', 'may', 'may']],
  [{ control: 'hosts' }, 'unpick', ['may', 'may', OTHERS_PICKS]],
  [{ control: 'dj' }, 'move', ['may', 'may', OTHERS_PICKS]],
  [{ order: 'turns' }, 'move', Array(3).fill('Added tracks play in turns, so they cannot be moved')],
  [{ order: 'votes' }, 'move', Array(3).fill('Votes decide the order, so tracks cannot be moved')],
  [{ uploads: 'hosts' }, 'upload', ['may', ONLY_HOSTS, ONLY_HOSTS]],
  [{ invite: 'hosts' }, 'invite', ['may', ONLY_HOSTS, ONLY_HOSTS]],
  [{}, 'setRules', ['may', ONLY_HOSTS, ONLY_HOSTS]],
  [{}, 'setHosts', ['may', ONLY_HOSTS, ONLY_HOSTS]],
  [{}, 'unpair', ['may', ONLY_HOSTS, ONLY_HOSTS]],
  [{}, 'setDj', ['may', 'may', DJ]],
  [{}, 'drawDj', ['may', ONLY_HOSTS, ONLY_HOSTS]],
]);
for (const [rules, right, expected] of CASES) {
  test(`${right} under ${JSON.stringify(rules)}: ${expected}`, () =>
    assert.deepEqual(['m1', 'm2', 'm3'].map((memberId) => reason(objection(ruledRoom(rules), memberId, right))), expected));
}

test('without a DJ everyone may do what is reserved for the DJ', () => {
  const rules = { control: 'dj', picks: 'dj' };
  assert.deepEqual(['control', 'pick'].map((right) => reason(objection(ruledRoom(rules, { dj: null }), 'm3', /** @type {any} */ (right)))), ['may', 'may']);
});

test('without hosts everyone may change the rules, and nobody what is reserved for hosts', () => {
  const claimable = ruledRoom({ control: 'hosts' }, { hosts: [] });
  assert.equal(reason(objection(claimable, 'm3', 'setRules')), 'may');
  assert.match(reason(objection(claimable, 'm3', 'control')), /^Only hosts may do this, and there is no host yet/);
});

test('everyone may take back and move their own picks', () => {
  const withPicks = ruledRoom({ control: 'hosts' }, { picks: [pick('c', 'm3'), pick('d', 'm2')] });
  assert.equal(reason(objectionTo(withPicks, 'm3', { name: 'unpick', trackIds: ['c'] })), 'may');
  assert.equal(reason(objectionTo(withPicks, 'm3', { name: 'move', trackId: 'c', before: null })), 'may');
  assert.equal(reason(objectionTo(withPicks, 'm3', { name: 'unpick', trackIds: ['c', 'd'] })), OTHERS_PICKS);
});

test('nobody but hosts and the DJ has more picks waiting than allowed', () => {
  const full = ruledRoom({ maxPicks: 2 }, { picks: [pick('c', 'm3'), pick('d', 'm3')] });
  assert.equal(reason(objection(full, 'm3', 'pick')), 'Each person may have 2 tracks waiting');
  assert.deepEqual([['c'], ['e'], undefined].map((trackIds) => reason(objection(full, 'm3', 'nudge', trackIds))), ['may', 'Each person may have 2 tracks waiting', 'Each person may have 2 tracks waiting']);
  assert.deepEqual(['m1', 'm2', 'm3'].map((memberId) => freePickCount(full, memberId)), [Infinity, Infinity, 0]);
  assert.equal(reason(objectionTo(full, 'm3', { name: 'nudge', trackId: 'e' })), 'Each person may have 2 tracks waiting');
  assert.equal(reason(objectionTo(full, 'm3', { name: 'nudge', trackId: 'c' })), 'may');
  assert.equal(reason(objectionTo(full, 'm2', { name: 'pick', trackIds: ['a', 'c', 'e'] })), 'may');
  const oneLeft = ruledRoom({ maxPicks: 2 }, { picks: [pick('c', 'm3')] });
  assert.equal(reason(objection(oneLeft, 'm3', 'pick')), 'may');
  assert.equal(freePickCount(oneLeft, 'm3'), 1);
  assert.equal(reason(objectionTo(oneLeft, 'm3', { name: 'pick', trackIds: ['d', 'e'] })), 'Each person may have 2 tracks waiting');
});

test('nobody votes for skipping while the share is 0', () => {
  const vote = /** @type {any} */ ({ name: 'vote-skip', trackId: 'b', up: true });
  for (const memberId of ['m1', 'm2', 'm3']) {
    assert.equal(reason(objectionTo(ruledRoom({ control: 'hosts' }), memberId, vote)), 'Skipping by votes is off in this room');
    assert.equal(reason(objectionTo(ruledRoom(), memberId, vote)), 'may');
  }
});

test('the end of a track, votes and Start now are for everyone', () => {
  const strict = ruledRoom({ control: 'hosts', picks: 'hosts', skipShare: 0.5 });
  for (const command of /** @type {any[]} */ ([{ name: 'next', ended: 'b' }, { name: 'start-now' }, { name: 'vote-skip', trackId: 'b', up: true }, { name: 'vote-dj', memberId: 'm3' }, { name: 'undo' }])) {
    assert.equal(reason(objectionTo(strict, 'm3', command)), 'may', command.name);
  }
  assert.equal(reason(objectionTo(strict, 'm3', { name: 'next' })), ONLY_HOSTS);
});

test('votes of remote controls count for picks only', () => {
  const live = { anchorAtMs: null, segue: null, listeners: { m2: listener, m3: { ...listener, role: 'remote' } } };
  const withRemote = ruledRoom({ control: 'dj', order: 'votes' }, { live, picks: [pick('c'), pick('d')] });
  const said = (/** @type {string} */ memberId, /** @type {any} */ command) => reason(objectionTo(withRemote, memberId, command));
  assert.equal(said('m2', { name: 'vote-dj', memberId: 'm1' }), 'may');
  for (const command of [{ name: 'vote-dj', memberId: 'm1' }, { name: 'vote-skip', trackId: 'b', up: true }]) assert.match(said('m3', command), /^This phone does not play the music of this room/);
  // The order of picks is no share of the listeners: the server counts the votes of all paired devices there (docs/api.md).
  assert.equal(said('m3', { name: 'vote-pick', trackId: 'd', up: true }), 'may');
});

test('the last host can stop only under default rules', () => {
  const stop = /** @type {any} */ ({ name: 'hosts', memberId: 'm1', host: false });
  assert.equal(reason(objectionTo(ruledRoom(), 'm1', stop)), 'may');
  assert.match(reason(objectionTo(ruledRoom({ maxPicks: 3 }), 'm1', stop)), /^You are the only host/);
  assert.equal(reason(objectionTo(ruledRoom({ maxPicks: 3 }, { hosts: ['m1', 'm2'] }), 'm1', stop)), 'may');
});

test('a sentence names few hosts, or two and how many others', () => {
  assert.equal(formatNames(['Ada', 'Ben', 'Cem']), 'Ada, Ben, Cem');
  assert.equal(formatNames(Array.from({ length: 19 }, (_, i) => `Guest ${i + 1}`)), 'Guest 1, Guest 2 and 17 others');
  assert.equal(reason(controllingHosts(ruledRoom())), 'Ada controls the music');
  assert.equal(reason(controllingHosts(ruledRoom({}, { hosts: ['m1', 'm2'] }))), 'Ada, Ben control the music');
});

test('a cooling down counts from when its seconds came', () => {
  let nowMs = 0;
  const cooldowns = createCooldowns(() => nowMs);
  const withCooldown = (/** @type {object} */ djCooldown) => ruledRoom({}, { live: { ...ruledRoom().live, djCooldown } });
  cooldowns.update(withCooldown({ m2: 60 }));
  nowMs = 20_000;
  // Another member's cooling down does not begin this one again.
  cooldowns.update(withCooldown({ m2: 60, m3: 300 }));
  assert.deepEqual(['m1', 'm2', 'm3'].map(cooldowns.remainingMs), [0, 40_000, 300_000]);
  nowMs = 90_000;
  assert.equal(cooldowns.remainingMs('m2'), 0);
  cooldowns.update(withCooldown({}));
  cooldowns.update(withCooldown({ m2: 60 }));
  assert.equal(cooldowns.remainingMs('m2'), 60_000);
});

test('a room of an older server lets everyone do everything', () => {
  for (const right of /** @type {any[]} */ (['control', 'pick', 'nudge', 'unpick', 'move', 'setRules', 'unpair', 'upload', 'invite'])) {
    assert.equal(reason(objection(/** @type {any} */ (room()), 'm2', right)), 'may', right);
  }
});

test('presets are complete sets of rules and are recognised', () => {
  for (const [name, rules] of Object.entries(PRESETS)) {
    assert.deepEqual(Object.keys(rules).sort(), Object.keys(DEFAULT_RULES).sort());
    assert.equal(presetOf(/** @type {any} */ ({ ...rules })), name);
  }
  assert.equal(presetOf({ ...DEFAULT_RULES, maxPicks: 4 }), null);
});

test('the DJ is shown where a rule names it, votes to skip where control is reserved', () => {
  assert.deepEqual([{}, { control: 'dj' }, { picks: 'dj' }, { control: 'hosts' }].map((rules) => hasDjRole(ruledRoom(rules, { dj: null }))), [false, true, true, false]);
  // A DJ who was made under other rules keeps the rights of the role, and without any right is not shown.
  assert.deepEqual([{}, { control: 'hosts' }, { order: 'votes' }, { maxPicks: 3 }, { picks: 'hosts' }].map((rules) => hasDjRole(ruledRoom(rules))), [false, true, true, true, false]);
  assert.deepEqual([{ skipShare: 0.5 }, { control: 'dj' }, { control: 'dj', skipShare: 0.5 }].map((rules) => canSkipTogether(ruledRoom(rules))), [false, false, true]);
});

test('shares are of the listeners that are there', () => {
  assert.deepEqual([[0.5, 5], [0.5, 4], [0.51, 2], [0.34, 3], [1, 3], [0.1, 3], [0.07, 100]].map(([share = 0, count = 0]) => neededVotes(share, count)), [3, 2, 2, 2, 3, 1, 7]);
  const votes = ruledRoom({ skipShare: 0.5 }, { skipVotes: ['m1', 'm9'], djVotes: { m1: 'm3', m3: 'm3', m9: 'm3', m2: null } });
  assert.deepEqual(skipTally(votes, 'm1'), { count: 1, listenerCount: 3, neededCount: 2, isOwn: true });
  assert.deepEqual(djTally(votes, 'm2', 'm3'), { count: 2, listenerCount: 3, neededCount: 2, isOwn: false });
  assert.deepEqual(djTally(votes, 'm2', null), { count: 1, listenerCount: 3, neededCount: 2, isOwn: true });
  const remote = { ...votes, live: { ...votes.live, listeners: { ...votes.live.listeners, m1: { ...listener, role: 'remote' } } } };
  assert.deepEqual(skipTally(remote, 'm3'), { count: 0, listenerCount: 2, neededCount: 1, isOwn: false });
});

test('a second press of a vote for a DJ takes it back', () => {
  const votes = ruledRoom({}, { djVotes: { m1: 'm3', m3: null } });
  assert.equal(djVoteAfterPress(votes, 'm2', 'm3'), 'm3');
  assert.equal(djVoteAfterPress(votes, 'm1', 'm3'), 'm2');
  assert.equal(djVoteAfterPress(votes, 'm3', null), 'm2');
  assert.equal(djVoteAfterPress({ ...votes, dj: null }, 'm1', 'm3'), null);
});

/** The picks as they are shown while commands of Cem are pending. */
const shownPicks = (/** @type {any} */ before, /** @type {any[]} */ ...commands) =>
  withPendingCommands(before, commands.map((command) => ({ trackId: 'b', by: 'm3', ...command }))).picks.map(({ trackId, by, pinned }) => `${trackId}${by === 'm3' ? '!' : ''}${pinned ? '^' : ''}`).join(' ');

test('a pick goes to its turn', () => {
  const turns = ruledRoom({ order: 'turns' }, { queue: ['b', 'a', 'c', 'd', 'e', 'f'], queueIndex: 0, picks: [pick('a'), pick('c')] });
  assert.equal(shownPicks(turns, { name: 'pick', trackIds: ['d', 'e', 'f'] }), 'a d! c e! f!');
  assert.equal(shownPicks({ ...turns, picks: [pick('a', 'm2', { pinned: true }), pick('c'), pick('e')] }, { name: 'pick', trackIds: ['d'] }), 'a^ c d! e');
});

test('a vote moves a pick before those with fewer votes', () => {
  const votes = ruledRoom({ order: 'votes' }, { picks: [pick('a', 'm1', { pinned: true }), pick('c', 'm1', { votes: ['m1'] }), pick('d', 'm2'), pick('e', 'm2', { votes: [] })] });
  assert.equal(shownPicks(votes, { name: 'vote-pick', trackId: 'e', up: true }), 'a^ c e d');
  assert.equal(shownPicks(votes, { name: 'vote-pick', trackId: 'e', up: true }, { name: 'vote-pick', trackId: 'e', up: false }), 'a^ c e d');
  const promised = { ...votes, picks: votes.picks.slice(1), live: { ...votes.live, segue: { trackId: 'c', anchorAtMs: 1, gainDb: null, eventCount: votes.eventCount } } };
  const withTwo = { ...promised, picks: promised.picks.map((/** @type {any} */ other) => (other.trackId === 'e' ? { ...other, votes: ['m1'] } : other)) };
  assert.equal(shownPicks(withTwo, { name: 'vote-pick', trackId: 'e', up: true }), 'c e d', 'no vote overtakes the promised pick');
});

test('a nudge pins under turns and votes, and the order “first” ends pins', () => {
  const turns = ruledRoom({ order: 'turns' }, { picks: [pick('a')] });
  assert.equal(shownPicks(turns, { name: 'nudge', trackId: 'c' }), 'c!^ a');
  assert.equal(shownPicks(turns, { name: 'nudge', trackId: 'c' }, { name: 'rules', rules: { order: 'first' } }), 'c! a');
  assert.equal(shownPicks(ruledRoom({}, { picks: [pick('a')] }), { name: 'nudge', trackId: 'c' }), 'c! a');
});

test('rules, hosts, the DJ and votes change at once', () => {
  const shown = (/** @type {any} */ command, overrides = {}) => withPendingCommands(ruledRoom({}, overrides), [{ trackId: 'b', by: 'm3', ...command }]);
  const claimed = shown({ name: 'rules', rules: { control: 'dj' } }, { hosts: [] });
  assert.deepEqual([claimed.hosts, claimed.rules?.control, claimed.rules?.order], [['m3'], 'dj', 'first']);
  assert.deepEqual(shown({ name: 'rules', rules: { control: 'dj' } }).hosts, ['m1']);
  assert.deepEqual(shown({ name: 'hosts', memberId: 'm2', host: true }).hosts, ['m1', 'm2']);
  assert.deepEqual(shown({ name: 'hosts', memberId: 'm1', host: false }).hosts, ['m1'], 'the last host, whom the server may refuse');
  assert.deepEqual(shown({ name: 'hosts', memberId: 'm1', host: false }, { hosts: ['m1', 'm2'] }).hosts, ['m2']);
  const handed = shown({ name: 'dj', memberId: 'm3' }, { djVotes: { m1: 'm3' } });
  assert.deepEqual([handed.dj, handed.djVotes], ['m3', {}]);
  assert.deepEqual(shown({ name: 'vote-dj', memberId: null }).djVotes, { m3: null });
  assert.deepEqual(shown({ name: 'vote-skip', up: true }).skipVotes, ['m3']);
  assert.deepEqual(shown({ name: 'vote-skip', up: true }, { queueIndex: 2 }).skipVotes, [], 'for a track that is over');
});

test('commands about rules are resent unless they are done or over', () => {
  const before = ruledRoom();
  const verdict = (/** @type {any} */ command, overrides = {}) => rebase(command, before, ruledRoom({}, overrides));
  assert.equal(verdict({ name: 'rules', rules: { maxPicks: 3 } }, { hosts: ['m2'] }), 'send');
  assert.equal(verdict({ name: 'dj', memberId: 'm3' }, { dj: 'm3' }), 'redundant');
  assert.equal(verdict({ name: 'dj', memberId: 'm3' }, { dj: null }), 'send');
  assert.equal(verdict({ name: 'dj/random' }, { dj: 'm3' }), 'redundant');
  assert.equal(verdict({ name: 'hosts', memberId: 'm2', host: true }, { hosts: ['m1', 'm2'] }), 'redundant');
  assert.equal(verdict({ name: 'vote-skip', trackId: 'b', up: true }, { queueIndex: 2 }), 'redundant');
  assert.equal(verdict({ name: 'vote-pick', trackId: 'c', up: true }, { picks: [] }), 'stale');
  assert.equal(verdict({ name: 'vote-pick', trackId: 'c', up: true }, { picks: [pick('c')] }), 'send');
  assert.equal(verdict({ name: 'vote-dj', memberId: 'm3' }, { dj: null }), 'send');
});

test('a DJ that others remove cools down until a host makes it DJ', () => {
  const apply = (/** @type {any} */ before, /** @type {object} */ payload) => /** @type {any} */ (applyMessage(before, { event: 'dj.changed', payload: { patch: [], ...payload }, eventCount: before.eventCount + 1 }, 0));
  const removed = apply(ruledRoom(), { memberId: null, reason: 'removed', by: 'm3' });
  assert.deepEqual(removed.live.djCooldown, { m2: 300 });
  assert.deepEqual(apply(removed, { memberId: 'm2', reason: 'host', by: 'm1' }).live.djCooldown, {});
  assert.deepEqual(apply(ruledRoom(), { memberId: null, reason: 'removed', by: 'm2' }).live.djCooldown, {}, 'stepped down');
  assert.deepEqual(apply(ruledRoom(), { memberId: 'm3', reason: 'handed', by: 'm2' }).live.djCooldown, {});
});
