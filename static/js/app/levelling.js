// Applies the volume of this phone and the levels of the tracks to the player.

import { outputGain } from '../sound/levelling.js';

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {Pick<import('../sound/player.js').Player, 'setOutputGain' | 'updateLevels'>} options.player
 */
export function startLevelling({ store, player }) {
  player.setOutputGain(outputGain(store.get()));
  store.subscribe((state) => {
    player.setOutputGain(outputGain(state));
    player.updateLevels();
  });
}
