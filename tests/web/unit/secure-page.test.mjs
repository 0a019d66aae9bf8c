// The origins of the server's insecure and secure page.

import assert from 'node:assert/strict';
import test from 'node:test';
import { insecureOrigin, secureOrigin } from '../../../static/js/net/secure-page.js';

test('the origins of a host’s two pages differ in scheme and port', () => {
  const offer = { port: 8443, httpPort: 8080, authority: null };
  assert.equal(secureOrigin(offer, 'party.lan'), 'https://party.lan:8443');
  assert.equal(insecureOrigin(offer, '[fd00::7]'), 'http://[fd00::7]:8080');
  const defaultPorts = { port: 443, httpPort: 80, authority: null };
  assert.equal(secureOrigin(defaultPorts, 'party.lan'), 'https://party.lan');
  assert.equal(insecureOrigin(defaultPorts, 'party.lan'), 'http://party.lan');
});
