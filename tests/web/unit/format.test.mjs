// Durations, sizes, names and colours as the page shows them.

import assert from 'node:assert/strict';
import test from 'node:test';
import { audioFormatName, formatBytes, formatTime, hashHue, initials, memberHue } from '../../../static/js/format.js';

test('durations, sizes, initials and audio formats are formatted', () => {
  assert.deepEqual([0, 59.9, 61, 3_723].map(formatTime), ['0:00', '0:59', '1:01', '1:02:03']);
  assert.deepEqual([840_000, 12_340_000, 2_500_000_000].map(formatBytes), ['840 kB', '12.3 MB', '2.50 GB']);
  assert.deepEqual(['Harbour Lights', 'éclair', '<b>', '夜の 歌', '…'].map(initials), ['HL', 'É', 'B', '夜歌', '♪']);
  assert.deepEqual(['audio/mpeg', 'audio/x-aiff', 'audio/flac'].map(audioFormatName), ['MP3', 'AIFF', 'FLAC']);
  assert.equal(hashHue('abc'), hashHue('abc'));
});

test('members who pair in succession get clearly different hues', () => {
  const hues = Array.from({ length: 30 }, (_, i) => memberHue(`m${i + 1}`));
  hues.slice(1).forEach((hue, i) => assert.ok(Math.abs(hue - hues[i]) > 60, `hues ${hues[i]} and ${hue} are too close`));
});
