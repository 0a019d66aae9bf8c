// The sync error in the sync figures.

import assert from 'node:assert/strict';
import test from 'node:test';
import { syncErrorText } from '../../../static/js/ui/sync-figures.js';

for (const [name, syncErrorMs, isSounding, text] of [
  ['a measured error has one decimal', -2.34, true, '-2.3\u00a0ms'],
  ['while the first measurements are made, the error is unknown', null, true, 'not known yet'],
  ['a silent phone is not playing', null, false, 'not playing'],
]) {
  test(name, () => assert.equal(syncErrorText(syncErrorMs, isSounding), text));
}
