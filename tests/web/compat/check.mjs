// Checks that the page uses nothing that its oldest supported browsers lack, except where it does without
// (degradations.mjs). Prints what it finds, and exits with 1.

import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DEGRADATIONS } from './degradations.mjs';
import { OLDEST_BROWSERS_TEXT } from './oldest-browsers.mjs';
import { findInScripts } from './scripts.mjs';
import { findInStyleSheet } from './styles.mjs';

const pathOf = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const styleSheets = readdirSync(pathOf('../../../static'), { recursive: true }).filter((name) => String(name).endsWith('.css'));
const findings = [
  ...findInScripts(pathOf('../tsconfig.json')),
  ...findInScripts(pathOf('../tsconfig.worker.json')),
  ...styleSheets.flatMap((name) => findInStyleSheet(pathOf(`../../../static/${name}`))),
];
const unknown = findings.filter(({ feature }) => !Object.hasOwn(DEGRADATIONS, feature));
const unused = Object.keys(DEGRADATIONS).filter((name) => !findings.some(({ feature }) => feature === name));
for (const { file, line, feature, browsers } of unknown) console.log(`${file}:${line}: ${feature} is missing in ${browsers.join(', ')}`);
for (const feature of unused) console.log(`degradations.mjs: the page does not use ${feature}`);
console.log(`${styleSheets.length} style sheets and all scripts checked for ${OLDEST_BROWSERS_TEXT}: ${unknown.length + unused.length} findings`);
process.exitCode = unknown.length + unused.length > 0 ? 1 : 0;
