// Whether the page offers uploads: they follow the house room's rules.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RULES } from '../../../static/js/room/rules.js';
import { isPermitted } from '../../../static/js/ui/rules/reasons.js';
import { room } from '../support/rooms.mjs';

test('only the rules of the house room reserve uploads', () => {
  const hostRoom = room({ rules: { ...DEFAULT_RULES, uploads: 'hosts' } });
  const state = (/** @type {string} */ roomId) => /** @type {any} */ ({ room: hostRoom, roomId, memberId: 'm1', pendingCommands: [], sound: { predictedStart: null } });
  assert.equal(isPermitted(state('house'), 'upload'), false);
  assert.equal(isPermitted(state('k3'), 'upload'), true);
});
