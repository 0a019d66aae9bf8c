// When each member that was removed as DJ can be DJ again. The room has the seconds at the time when they came.

/** @typedef {import('../../types.js').MemberId} MemberId */
/** @typedef {import('../../types.js').Room} Room */

/** @param {() => number} nowMs */
export function createCooldowns(nowMs) {
  /** @type {Map<MemberId, {sec: number, endsAtMs: number}>} */
  const known = new Map();

  return {
    /** @param {Room | null} room */
    update: (room) => {
      const cooldowns = room?.live.djCooldown ?? {};
      for (const memberId of known.keys()) if (!(memberId in cooldowns)) known.delete(memberId);
      for (const [memberId, sec] of Object.entries(cooldowns)) {
        if (known.get(memberId)?.sec !== sec) known.set(memberId, { sec, endsAtMs: nowMs() + sec * 1_000 });
      }
    },
    /** How long the member cannot be DJ yet; 0: it can. @param {MemberId} memberId */
    remainingMs: (memberId) => Math.max(0, (known.get(memberId)?.endsAtMs ?? 0) - nowMs()),
  };
}
