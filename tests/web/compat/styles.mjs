// Finds what the page's style sheets use although a supported browser lacks it.

import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import * as csstree from 'css-tree';
import { browsersWithout, findFeature } from './oldest-browsers.mjs';

/** @typedef {import('./scripts.mjs').Finding} Finding */

const UNITS = {
  ...Object.fromEntries(['dvh', 'dvw', 'dvi', 'dvb', 'dvmin', 'dvmax'].map((unit) => [unit, 'viewport_percentage_units_dynamic'])),
  ...Object.fromEntries(['svh', 'svw', 'svi', 'svb', 'svmin', 'svmax'].map((unit) => [unit, 'viewport_percentage_units_small'])),
  ...Object.fromEntries(['lvh', 'lvw', 'lvi', 'lvb', 'lvmin', 'lvmax'].map((unit) => [unit, 'viewport_percentage_units_large'])),
  ...Object.fromEntries(['cqw', 'cqh', 'cqi', 'cqb', 'cqmin', 'cqmax'].map((unit) => [unit, 'container_query_length_units'])),
};

/** @param {string} path of a style sheet @returns {Finding[]} */
export function findInStyleSheet(path) {
  return findInStyles(readFileSync(path, 'utf8'), relative(process.cwd(), path));
}

/** @param {string} css @param {string} file for the findings @returns {Finding[]} */
export function findInStyles(css, file) {
  /** @type {Finding[]} */
  const findings = [];
  const syntaxTree = csstree.parse(css, {
    positions: true,
    parseCustomProperty: true,
    onParseError: (error) => findings.push({ file, line: error.line, feature: `not understood: ${error.message}`, browsers: [] }),
  });
  /** The text of the `@supports` conditions around the current node. @type {string[]} */
  const conditions = [];

  csstree.walk(syntaxTree, {
    enter(node) {
      if (node.type === 'Atrule') enterAtRule(node);
      else if (node.type === 'Declaration' && !isFallenBack(node, this)) report(node, declarationFeatures(node));
      else if (node.type === 'PseudoClassSelector' || node.type === 'PseudoElementSelector') {
        report(node, [['css', 'selectors', node.name]]);
      } else if (node.type === 'NestingSelector') report(node, [['css', 'selectors', 'nesting']]);
      else if (node.type === 'Feature' || node.type === 'FeatureRange') {
        const name = node.type === 'Feature' ? node.name : 'range_syntax';
        report(node, [['css', 'at-rules', 'media', name.replace(/^(min|max)-/, '')]]);
      }
    },
    leave(node) {
      if (node.type === 'Atrule' && node.name === 'supports') conditions.pop();
    },
  });
  return findings;

  /** @param {csstree.Atrule} node */
  function enterAtRule(node) {
    if (node.name === 'supports') conditions.push(node.prelude ? csstree.generate(node.prelude) : '');
    report(node, [['css', 'at-rules', node.name]]);
  }

  /** @param {csstree.CssNode} node @param {string[][]} paths */
  function report(node, paths) {
    for (const path of paths) {
      const browsers = missingIn(path);
      if (browsers.length === 0 || isInCondition(path)) continue;
      findings.push({ file, line: node.loc?.start.line ?? 0, feature: path.join('.'), browsers });
    }
  }

  /** Whether an `@supports` around the rule asks for the feature: by its name, or for units by a unit. @param {string[]} path */
  function isInCondition(path) {
    const name = path.at(-1) ?? '';
    const names = [name, ...Object.keys(UNITS).filter((unit) => UNITS[unit] === name)];
    return conditions.some((condition) => names.some((word) => condition.includes(word)));
  }
}

/** @param {string[]} path */
function missingIn(path) {
  const feature = findFeature(...path);
  return feature ? browsersWithout(feature) : [];
}

/**
 * Whether a browser that lacks the declaration uses an earlier one of the same property in the same rule. It does not if the value
 * contains `var()`: such a value counts as valid until it is computed.
 * @param {csstree.Declaration} node
 * @param {csstree.WalkContext} context
 */
function isFallenBack(node, { block }) {
  if (node.property.startsWith('--') || csstree.find(node.value, ({ type, name }) => type === 'Function' && name === 'var')) return false;
  for (const earlier of block?.children ?? []) {
    if (earlier === node) return false;
    const isSame = earlier.type === 'Declaration' && earlier.property === node.property;
    if (isSame && declarationFeatures(earlier).every((path) => missingIn(path).length === 0)) return true;
  }
  return false;
}

/** The paths in the data of the property, its keywords, functions and units. @param {csstree.Declaration} node */
function declarationFeatures({ property, value }) {
  const isCustom = property.startsWith('--');
  const paths = isCustom ? [] : [['css', 'properties', property]];
  csstree.walk(value, (part) => {
    if (part.type === 'Identifier' && !isCustom) paths.push(['css', 'properties', property, part.name.replaceAll('-', '_')], ['css', 'properties', property, part.name]);
    if (part.type === 'Function') {
      const name = part.name.toLowerCase();
      paths.push(['css', 'types', 'color', name], ['css', 'types', name], ['css', 'types', 'gradient', name], ['css', 'properties', property, name]);
    }
    if (part.type === 'Dimension') {
      const unit = part.unit.toLowerCase();
      paths.push(['css', 'types', 'length', UNITS[unit] ?? unit]);
    }
  });
  return paths;
}
