// The pairing code: who has it while the rules reserve it for hosts, and its renewal.

import { renewPairingCode } from '../net/api.js';
import { formatNames } from '../format.js';
import { objection } from '../room/permissions.js';
import { hostsOf } from '../room/rules.js';
import { memberName } from '../room/selectors.js';

/** Where the code is. @param {import('../types.js').AppState} state @returns {import('../language/texts.js').Message} */
export function codeHolders({ room, memberId }) {
  const hosts = room && objection(room, memberId, 'invite') ? hostsOf(room) : [];
  if (!room || hosts.length === 0) return { key: 'invite.codeOnScreen' };
  return { key: 'invite.codeFromHosts', values: { names: formatNames(hosts.map((host) => memberName(room, host))) } };
}

/**
 * Replaces the pairing code.
 * @param {(request: Promise<void>) => Promise<boolean>} attempt shows why a request failed
 * @returns {Promise<string | null>} the new code; `null` if the server has refused
 */
export async function renewCode(attempt) {
  /** @type {string | null} */
  let code = null;
  await attempt(renewPairingCode().then((newCode) => void (code = newCode)));
  return code;
}
