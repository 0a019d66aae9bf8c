// JSDoc twins of what the wire carries, and of what the app keeps. No code lives here.

/** @typedef {string} TrackId 16 lower-case hex digits. */
/** @typedef {string} MemberId `m1`, `m2`, … */
/** @typedef {import('./align.js').Overlay} Overlay */

/**
 * Somebody compares the speakers: each sounds by itself or all at once, from a moment of the server's clock on.
 * @typedef {{kind: 'tick' | 'chirp' | 'off', startsAtMs: number, memberIds: MemberId[]}} Tuning
 */

/**
 * @typedef {object} Tags
 * @property {string} title
 * @property {string} [artist]
 * @property {string} [album]
 * @property {number} [trackNumber]
 * @property {number} [year]
 */

/**
 * What a decoder that leaves nothing out plays of an MP3: so much before the music, and so much altogether.
 * @typedef {{leadSec: number, wholeSec: number}} Padding
 */

/**
 * A row of `GET /index`.
 * @typedef {object} Track
 * @property {TrackId} trackId
 * @property {string} fileName
 * @property {number} size
 * @property {string} mime
 * @property {string} version
 * @property {number} [duration] In seconds.
 * @property {Padding} [padding] Of an MP3.
 * @property {Tags} tags
 * @property {string} [coverUrl]
 */

/**
 * @typedef {object} Barrier
 * @property {'track' | 'resume'} type
 * @property {TrackId} trackId
 * @property {MemberId[]} members
 * @property {MemberId[]} ready
 */

/**
 * @typedef {object} PlayState
 * @property {'playing' | 'paused'} mode
 * @property {number} anchorPositionSec
 */

/**
 * @typedef {object} Listener
 * @property {'listener' | 'remote'} role
 * @property {{trackId: TrackId, receivedBytes: number, size: number} | null} download
 * @property {boolean} playable Whether it can play the current track.
 * @property {Pick<SyncReport, 'offMs' | 'waitsForTap'>} [sync] What it last said of it.
 */

/**
 * How well a listener is in step, as it says itself.
 * @typedef {object} SyncReport
 * @property {number | null} offMs How far ahead of the room it sounds; `null` while it does not.
 * @property {number} roundTripMs
 * @property {number} latencyMs From the call to the sound.
 * @property {number} needsMs How long before a start it must be told of it.
 * @property {boolean} waitsForTap It is silent because its browser wants a tap first.
 */

/**
 * The promise that next-up starts at a known moment; it holds only for the count that it carries.
 * @typedef {object} Segue
 * @property {TrackId} trackId
 * @property {number} anchorAtMs
 * @property {number} eventCount
 */

/**
 * @typedef {object} Live
 * @property {number | null} anchorAtMs On the server's clock.
 * @property {Segue | null} segue
 * @property {Record<MemberId, Listener>} listeners
 */

/**
 * @typedef {object} Snapshot
 * @property {number} eventCount
 * @property {TrackId[]} queue
 * @property {number} queueIndex
 * @property {PlayState} playState
 * @property {Barrier | null} barrier
 * @property {Record<MemberId, {name: string, delayMs?: number}>} clients `delayMs`: how much later than others its
 *   speaker sounds; 0 if it is not there.
 * @property {Live} live
 */

/**
 * How many of the files that it has to look into the server has.
 * @typedef {{read: number, total: number}} Scan
 */

/**
 * One message of the event stream.
 * @typedef {object} Message
 * @property {string} event
 * @property {Record<string, unknown>} payload
 * @property {number} eventCount
 */

/** @typedef {null | boolean | number | string | JsonList | JsonObject} Json */
/** @typedef {{[key: string]: Json}} JsonObject */
/** @typedef {Json[]} JsonList */

/**
 * One operation of RFC 6902.
 * @typedef {object} PatchOperation
 * @property {string} op
 * @property {string} path
 * @property {string} [from]
 * @property {Json} [value]
 */

/**
 * A snapshot as this phone keeps it. `arrivedMs` is when, on this page's clock, the last anchor was
 * heard of; it stands in for `anchorAtMs` where the server gives none (`--alignment event`).
 * @typedef {Snapshot & {arrivedMs: number | null}} Room
 */

/**
 * What this phone knows of the server's clock: server's clock = page's clock + offset, which was `offsetMs` at
 * `atMs` and grows by `drift` milliseconds in each; and how long round trips take, as a rule and when they are slow.
 * @typedef {{atMs: number, offsetMs: number, drift: number, roundTripMs: number, slowTripMs: number}} ClockEstimate
 */

/**
 * A press. `positionSec` and `trackId` where the command has them; while it is under way, `trackId` is else
 * the track that was current at the press.
 * @typedef {object} Command
 * @property {'play' | 'pause' | 'seek' | 'next' | 'nudge' | 'start-now'} name
 * @property {number} [positionSec]
 * @property {TrackId} [trackId]
 */

/**
 * What is kept on this phone only.
 * @typedef {object} Settings
 * @property {string} name
 * @property {boolean} remote No sound from this phone.
 * @property {number} storageMb What may be kept, where the browser does not tell how much there is room for.
 */

/**
 * What the player says of itself.
 * @typedef {object} Report
 * @property {TrackId | null} trackId What is loaded.
 * @property {'empty' | 'held' | 'starting' | 'playing' | 'ended' | 'idle'} phase `idle`: silence sounds.
 * @property {boolean} exact It can be anywhere to the sample, and moved while it sounds.
 * @property {boolean} settled Playing long enough for its position to be believed.
 * @property {boolean} slewing It is being moved just now.
 * @property {boolean} shaken Something was heard a moment ago that should not have been.
 * @property {number} spreadMs How much its positions scatter.
 * @property {number} positionSec
 * @property {number} atMs When the position was read, on this page's clock.
 * @property {Plan | null} plan What it was last told.
 * @property {number} latencyMs From the call to the sound.
 * @property {number} leadMs The same with a load or a seek before it, and some reserve.
 * @property {number} changeMs From the decision to change tracks at once to the sound.
 */

/**
 * What the player is told: be silent at a place, be at a place at a moment of this page's clock, or gain so
 * much on where it is, unheard. `atOnce`: the moment is this device's best guess; waiting for it would only
 * add silence.
 * @typedef {{kind: 'hold', trackId: TrackId, positionSec: number}
 *   | {kind: 'start', trackId: TrackId, positionSec: number, atMs: number, atOnce: boolean}
 *   | {kind: 'slew', byMs: number}} Plan
 */

/** Why this phone does not play a track: it does not know the format, has no room for it, or cannot get it. */
/** @typedef {'format' | 'room' | 'fetch'} Unable */

/**
 * @typedef {object} AppState
 * @property {'starting' | 'moving' | 'join' | 'room' | 'moved'} view `moving`: its music comes from another tab; `moved`: this
 *   phone goes on in another tab.
 * @property {import('./moving.js').Brought | null} moving What is on its way from that tab, or to it.
 * @property {MemberId | null} memberId
 * @property {Room | null} room
 * @property {ReadonlyMap<TrackId, Track>} index
 * @property {'connecting' | 'open' | 'reconnecting'} connection
 * @property {string | null} trouble Why there is no connection, in the server's own words if it gave any; or why this phone is
 *   at the door again.
 * @property {ReadonlySet<TrackId>} held Whole on this phone, in the version of the index.
 * @property {ReadonlyMap<TrackId, Unable>} unplayable
 * @property {ReadonlySet<TrackId>} ready At hand in the player, which can begin with them at once.
 * @property {{trackId: TrackId, receivedBytes: number, size: number} | null} download
 * @property {Settings} settings
 * @property {ClockEstimate | null} clock
 * @property {{locked: boolean, mute: boolean, sounding: boolean, errorMs: number | null, overlay: Overlay | null}} sound
 *   `locked`: it is silent until a tap; `mute`: and has nothing to sound from.
 * @property {readonly Command[]} presses Those that are under way or wait for their turn, in order.
 * @property {number | null} trialDelayMs This speaker's delay while it is being tried.
 * @property {Tuning | null} tuning
 * @property {Scan | null} scanning How far the server is that reads its library.
 * @property {string | null} storageNote What is wrong with this phone's storage, if anything.
 */

export {};
