// The controls of the rules, one for each: what the rule means, and its value.

import { formatPercent } from '../../format.js';
import { text } from '../../language/texts.js';
import { cloneTemplate, queryElement, setText } from '../dom.js';

/** @typedef {import('../../language/texts.js').TextKey} TextKey */
/** @typedef {import('../../types.js').Rules} Rules */
/** @typedef {keyof Rules} RuleName */
/** @typedef {Rules[RuleName]} RuleValue */

/** @type {Record<RuleName, [label: TextKey, hint: TextKey]>} */
const LABELS = {
  control: ['rule.control', 'rule.controlHint'],
  picks: ['rule.picks', 'rule.picksHint'],
  order: ['rule.order', 'rule.orderHint'],
  maxPicks: ['rule.maxPicks', 'rule.maxPicksHint'],
  skipShare: ['rule.skipShare', 'rule.skipShareHint'],
  djShare: ['rule.djShare', 'rule.djShareHint'],
  djCooldownSec: ['rule.djCooldown', 'rule.djCooldownHint'],
  uploads: ['rule.uploads', 'rule.uploadsHint'],
  invite: ['rule.invite', 'rule.inviteHint'],
  chat: ['rule.chat', 'rule.chatHint'],
};

/** @type {Record<string, TextKey>} */
const WORDS = { everyone: 'rule.everyone', dj: 'rule.dj', hosts: 'rule.hosts', first: 'rule.first', turns: 'rule.turns', votes: 'rule.votes' };

/** The values that can be chosen. A script may have set others. @type {Partial<Record<RuleName, readonly RuleValue[]>>} */
const CHOICES = {
  control: ['everyone', 'dj', 'hosts'],
  picks: ['everyone', 'dj', 'hosts'],
  order: ['first', 'turns', 'votes'],
  maxPicks: [0, 1, 2, 3, 5, 10, 20, 50, 100],
  skipShare: [0, 0.25, 0.34, 0.5, 0.67, 0.75, 1],
  djShare: [0.25, 0.34, 0.5, 0.51, 0.67, 0.75, 1],
  djCooldownSec: [0, 60, 300, 900, 3600],
  uploads: ['everyone', 'hosts'],
  invite: ['everyone', 'hosts'],
};

/** @param {RuleName} name @param {RuleValue} value */
function valueText(name, value) {
  if (typeof value !== 'number') return text(WORDS[String(value)] ?? 'rule.everyone');
  if (name === 'maxPicks') return value === 0 ? text('rule.noLimit') : text('rule.trackCount', { count: value });
  if (name !== 'djCooldownSec') return value === 0 ? text('rule.never') : formatPercent(Math.round(value * 100));
  if (value === 0) return text('rule.never');
  return value % 60 === 0 ? text('rule.minutes', { count: value / 60 }) : text('rule.seconds', { count: value });
}

/**
 * @param {RuleName} name
 * @param {(value: RuleValue) => void} onChange
 */
function createChoice(name, onChange) {
  const select = document.createElement('select');
  select.className = 'field';
  const choices = CHOICES[name] ?? [];
  select.addEventListener('change', () => {
    const value = select.value;
    onChange(typeof choices[0] === 'number' ? Number(value) : /** @type {RuleValue} */ (value));
  });
  return {
    element: select,
    /** @param {RuleValue} value */
    render: (value) => {
      const values = choices.includes(value) ? choices : [...choices, value];
      while (select.options.length > values.length) select.remove(select.options.length - 1);
      values.forEach((choice, i) => {
        const option = select.options[i] ?? select.appendChild(document.createElement('option'));
        option.value = String(choice);
        setText(option, valueText(name, choice));
      });
      if (select.value !== String(value)) select.value = String(value);
    },
    /** @param {boolean} isReadOnly */
    setReadOnly: (isReadOnly) => {
      select.disabled = isReadOnly;
    },
  };
}

/** @param {(value: boolean) => void} onChange */
function createSwitch(onChange) {
  const input = Object.assign(document.createElement('input'), { type: 'checkbox' });
  input.setAttribute('role', 'switch');
  input.addEventListener('change', () => onChange(input.checked));
  return {
    element: input,
    /** @param {RuleValue} value */
    render: (value) => {
      input.checked = value === true;
    },
    /** @param {boolean} isReadOnly */
    setReadOnly: (isReadOnly) => {
      input.disabled = isReadOnly;
    },
  };
}

/**
 * @param {HTMLElement} list
 * @param {(change: Partial<Rules>) => void} onChange
 * @returns {(rules: Rules, isReadOnly: boolean) => void}
 */
export function createRuleControls(list, onChange) {
  const rows = /** @type {RuleName[]} */ (Object.keys(LABELS)).map((name) => {
    const element = cloneTemplate('rule-template');
    const control = name === 'chat' ? createSwitch((chat) => onChange({ chat })) : createChoice(name, (value) => onChange({ [name]: value }));
    element.classList.toggle('switch-setting', name === 'chat');
    element.append(control.element);
    list.append(element);
    return { name, control, label: queryElement(element, 'b', HTMLElement), hint: queryElement(element, 'small', HTMLElement) };
  });
  return (rules, isReadOnly) => {
    for (const { name, control, label, hint } of rows) {
      const [labelKey, hintKey] = LABELS[name];
      setText(label, text(labelKey));
      setText(hint, text(hintKey));
      control.render(rules[name]);
      control.setReadOnly(isReadOnly);
    }
  };
}
