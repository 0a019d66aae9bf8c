// JSDoc types of the wire format and of the page's state. No code. Field names of the wire format are those of the
// server's JSON.
//
// Modules whose first line begins with PURE have no side effects and no state: no network, storage, DOM, timer or
// clock.
//
// Terms used throughout the page:
// - Index: the tracks of the server's library (`GET /index`). Room: the playback state that all phones share.
// - Page clock: `performance.now()` of this page, in milliseconds. Server clock: the clock that `GET /clock` reports.
//   The offset is the server clock minus the page clock (ClockEstimate). Names that end in `AtMs` are times on one of
//   these clocks.
// - Anchor: a known position in the current track (`anchorPositionSec`) and the time at which the track is at that
//   position (`anchorAtMs`). The position at any other time follows from the anchor.
// - Barrier: the room's wait, before a track starts, until all listeners have the track.
// - Next-up: the track that follows the current track in the circular queue.
// - Nudge: the command that moves a track to the position after the current track, so that the track is next-up.
// - Segue: the announced start of next-up without a gap or barrier.
// - Member: a paired phone. Listener: a member that plays sound. Remote control: a member that does not play sound.
// - Sync error: how far this phone's sound is ahead of the room's position, in milliseconds; negative if it is behind.

/** @typedef {string} TrackId 16 lower-case hex digits. */
/** @typedef {string} MemberId `m1`, `m2`, … */
/** @typedef {import('./sound/goal.js').PredictedStart} PredictedStart */

/**
 * Which phones play test sounds, by which speakers are compared: the payload of the server's event `tuning`. With `tick`,
 * all phones tick together; with `chirp`, the phones of `memberIds` chirp in turn. `startsAtMs` is on the server clock.
 * @typedef {{kind: 'tick' | 'chirp' | 'off', startsAtMs: number, memberIds: MemberId[]}} TestSoundSchedule
 */

/**
 * @typedef {object} Tags
 * @property {string} title
 * @property {string} [artist]
 * @property {string} [album]
 * @property {string} [albumArtist]
 * @property {number} [trackNumber]
 * @property {number} [disc]
 * @property {number} [year]
 * @property {string} [genre]
 * @property {true} [compilation]
 */

/**
 * Silence that an MP3 or AAC encoder added: `leadSec` before the music, and `wholeSec`, the length of the decoded file with
 * all padding.
 * @typedef {{leadSec: number, wholeSec: number}} Padding
 */

/**
 * One entry of `GET /index`.
 * @typedef {object} Track
 * @property {TrackId} trackId
 * @property {string} fileName
 * @property {number} size In bytes.
 * @property {string} mime Media type.
 * @property {string} version Changes with the file's content.
 * @property {number} [duration] In seconds. In the store: the length of the decoded track if that contradicts the server's index.
 * @property {number} [uncorrectedDuration] In the store only: the server's length in seconds, if `duration` is another one.
 * @property {Padding} [padding] MP3 and ADTS only.
 * @property {Tags} tags
 * @property {number} [gainDb] Gain in dB to a loudness of -18 LUFS.
 * @property {number} [peak] The largest absolute value of a sample, of which 1 is full scale.
 * @property {true} [measureAgain] Two phones have measured different loudness, so each phone is to measure the track once more; the gain and the peak are those of the first phone until then.
 * @property {number} [albumId] The same for all tracks of an album of several tracks.
 * @property {number} [albumGainDb] As `gainDb`, of the album.
 * @property {number} [albumPeak] As `peak`, of the album.
 * @property {string} [addedAt] When a scan first found the file (RFC 3339). Absent in index copies from older servers.
 * @property {string} [coverUrl]
 * @property {MemberId} [uploadedBy] The member who uploaded the file. Absent for files of the music folder.
 * @property {boolean} [hasTitleTag] Whether the title is from the tags of the file. Absent for files of the music folder.
 */

/**
 * One entry of `GET /playlists`. A track may appear more than once.
 * @typedef {{playlistId: string, name: string, trackIds: TrackId[]}} Playlist
 */

/**
 * An open barrier: playback of `trackId` starts when all `members` are in `ready`, or at the command `start-now`.
 * @typedef {object} Barrier
 * @property {'track' | 'resume'} type `track`: before a new track; `resume`: before a paused track continues.
 * @property {TrackId} trackId
 * @property {MemberId[]} members The listeners that must be ready before playback starts.
 * @property {MemberId[]} ready Those of `members` that have the track or cannot play it.
 */

/**
 * @typedef {object} PlayState
 * @property {'playing' | 'paused'} mode
 * @property {number} anchorPositionSec Position in the current track: at `live.anchorAtMs` while the track plays, and
 *   the constant position while the room is paused or a barrier is open.
 */

/**
 * @typedef {object} DownloadProgress
 * @property {TrackId} trackId
 * @property {number} receivedBytes
 * @property {number} size In bytes.
 */

/**
 * A member with an open event stream.
 * @typedef {object} ConnectedMember
 * @property {'listener' | 'remote'} role
 * @property {DownloadProgress | null} download The download in progress, as the server counts its bytes.
 * @property {boolean} playable Whether this member can play the current track.
 * @property {Pick<SyncReport, 'offMs' | 'waitsForTap'> & {pausedAlone?: boolean}} [sync] From the member's latest report.
 */

/**
 * The body of `POST /sync`: a listener's own measurements.
 * @typedef {object} SyncReport
 * @property {number | null} offMs The sync error; `null` while silent or while there are too few measurements.
 * @property {number} roundTripMs Typical round trip of a request.
 * @property {number} latencyMs From this phone's start of the audio output until the sound is audible.
 * @property {number} needsMs How long before a start the server must announce the start to this phone.
 * @property {boolean} waitsForTap Whether this phone is silent until a tap (room/own-silence.js).
 * @property {boolean} pausedAlone Whether it is so because it is paused alone.
 * @property {string} kind The kind of this phone (app/device-kind.js).
 */

/**
 * The server's announcement that next-up starts at `anchorAtMs`, at position 0. Valid only while the room's event count
 * is `eventCount`.
 * @typedef {object} Segue
 * @property {TrackId} trackId
 * @property {number} anchorAtMs Server clock.
 * @property {number | null} gainDb As in the snapshot, of this track.
 * @property {number} eventCount
 */

/**
 * The part of a snapshot that the server does not persist. Changes of this part alone do not increase
 * `eventCount`.
 * @typedef {object} LiveState
 * @property {number | null} anchorAtMs When the track is at `anchorPositionSec`, on the server clock. `null` while
 *   nothing plays, or if the server runs with `--alignment event`.
 * @property {Segue | null} segue
 * @property {Record<MemberId, ConnectedMember>} listeners All connected members, including remote controls.
 * @property {Record<MemberId, number>} [djCooldown] Members that were removed as DJ, and in how many seconds each can be DJ again.
 */

/**
 * The last comparison of a phone's speaker with those of other phones: by what, with whom, and when (RFC 3339).
 * @typedef {{by: 'ear' | 'microphone' | 'server', with: MemberId[], at: string}} Comparison
 */

/**
 * How speakers were compared, in `POST /tune`: by what, and all phones that were heard.
 * @typedef {{by: Comparison['by'], memberIds: MemberId[]}} ComparedSpeakers
 */

/**
 * A track that somebody asked for. `by`: who did; `null` for a member that has left.
 * @typedef {{trackId: TrackId, by: MemberId | null, votes: MemberId[], pinned: boolean}} QueuePick
 */

/** @typedef {'everyone' | 'dj' | 'hosts'} Audience Who may do something. */

/**
 * Who may do what in the room.
 * @typedef {object} Rules
 * @property {Audience} control Who may play, pause, seek, skip, go back, play a track now, shuffle and sort.
 * @property {Audience} picks Who may pick and nudge.
 * @property {'first' | 'turns' | 'votes'} order Of the picks: as they came, by turns of those who picked, or by votes.
 * @property {number} maxPicks How many picks one member may have waiting; 0: any number.
 * @property {number} skipShare The share of the listeners that can skip together; 0: they cannot.
 * @property {number} djShare The share of the listeners that makes somebody DJ, or removes the DJ.
 * @property {number} djCooldownSec How long a removed DJ cannot be DJ again.
 * @property {'everyone' | 'hosts'} uploads Who may upload.
 * @property {boolean} chat
 * @property {'everyone' | 'hosts'} invite Who sees the pairing code.
 */

/**
 * One entry of `GET /history`: a track that was played.
 * @typedef {object} HistoryEntry
 * @property {number | string} id
 * @property {TrackId} trackId
 * @property {string} title
 * @property {string} artist
 * @property {string} startedAt RFC 3339
 * @property {number} heardSec
 * @property {MemberId | null} by Who picked the track.
 */

/**
 * The body of `GET /snapshot`.
 * @typedef {object} Snapshot
 * @property {number} eventCount Number of events of the room so far; identifies the state.
 * @property {TrackId[]} queue All tracks in play order; after the last track, the first one follows.
 * @property {number} queueIndex Index of the current track in `queue`.
 * @property {readonly QueuePick[]} picks The tracks that people have added. They directly follow the current track.
 * @property {MemberId | null} pickedBy Who added the current track.
 * @property {readonly MemberId[]} [hosts] The members that may change the rules; while there are none, everyone may. The fields from here to
 *   `skipVotes` are absent on servers of older versions.
 * @property {Rules} [rules]
 * @property {MemberId | null} [dj]
 * @property {Readonly<Record<MemberId, MemberId | null>>} [djVotes] The candidate of each voter; `null`: a vote for no DJ.
 * @property {readonly MemberId[]} [skipVotes] Who wants to skip the current track.
 * @property {PlayState} playState
 * @property {number | null} gainDb The gain in dB with which all phones play the current track; `null` if its loudness is unknown.
 * @property {Barrier | null} barrier
 * @property {Record<MemberId, {name: string, delayMs?: number, guessed?: boolean, kind?: string, trimDb?: number, compared?: Comparison}>} clients All members.
 *   `delayMs`: the speaker delay, that is how much later than the other phones' this phone's speaker sounds; 0 if absent.
 *   `guessed`: whether that is a guess, from comparisons of other phones of the same `kind`.
 *   `trimDb`: the gain with which the phone is to play beside the others, at most 0; 0 if absent.
 * @property {LiveState} live
 */

/**
 * How many of `total` changed files the server has read, as the server's event `library.scanning` reports.
 * @typedef {{read: number, total: number}} ScanProgress
 */

/**
 * One upload of this phone. `waiting`: others come first; `finishing`: the server has the file; `needs-file`: the browser has lost the
 * file, which the user has to choose again; `failed`: the server has refused the file, for the reason in `error`.
 * @typedef {object} Upload
 * @property {string} key
 * @property {string} name Of the file.
 * @property {number} size In bytes.
 * @property {number} sentBytes
 * @property {string} title As typed; empty if none.
 * @property {boolean} canName Whether the file seems to have no title in its tags, so that one can be typed.
 * @property {'waiting' | 'sending' | 'finishing' | 'untitled' | 'needs-file' | 'failed'} status `untitled`: the track is listed and has no title of its own.
 * @property {import('./language/texts.js').Message | null} error
 */

/**
 * One upload under way of any phone, as the server's event `uploads` reports.
 * @typedef {{id: string, memberId: MemberId, name: string, receivedBytes: number, size: number}} UploadProgress
 */

/**
 * One row of `GET /rooms`, and of the server's event `rooms`. `listeners`: how many phones listen there.
 * @typedef {object} RoomRow
 * @property {import('./net/room-address.js').RoomId} roomId
 * @property {string} name
 * @property {boolean} locked
 * @property {number} listeners
 * @property {{trackId: TrackId, title: string | null, artist: string | null} | null} current
 * @property {'playing' | 'paused'} mode
 * @property {boolean} [damaged] Whether the file of the room is damaged, so that no device can enter it.
 * @property {boolean} [opening] Whether the server has not read the file of the room yet, so that no device can enter it.
 */

/**
 * One entry of `GET /chat`, and the payload of the server's event `chat`. `name`: the author's when the message was sent. `at`: RFC
 * 3339.
 * @typedef {{id: number, memberId: MemberId, name: string, text: string, at: string}} ChatMessage
 */

/**
 * One message of `GET /events`.
 * @typedef {object} EventMessage
 * @property {string} event
 * @property {Record<string, unknown>} payload
 * @property {number} eventCount The room's event count after the event.
 */

/**
 * The body of `POST /loudness`.
 * @typedef {{trackId: TrackId, version: string, lufs: number, peakDb: number}} LoudnessReport
 */

/** @typedef {null | boolean | number | string | JsonArray | JsonObject} Json */
/** @typedef {{[key: string]: Json}} JsonObject */
/** @typedef {Json[]} JsonArray */

/**
 * One operation of a JSON Patch (RFC 6902).
 * @typedef {object} PatchOperation
 * @property {string} op
 * @property {string} path
 * @property {string} [from]
 * @property {Json} [value]
 */

/**
 * A snapshot with the time (page clock) at which this page received the snapshot's anchor. Where the server runs with
 * `--alignment event` and sends no `live.anchorAtMs`, this page uses `anchorArrivedMs` in its place. `null` while
 * nothing plays, or if the anchor comes from a snapshot, whose age is unknown.
 * @typedef {Snapshot & {anchorArrivedMs: number | null}} Room
 */

/**
 * The estimated server clock: server clock = page clock + offset. The offset was `offsetMs` at `atMs` (page clock) and
 * changes by `drift` milliseconds per millisecond. `roundTripMs` is the median of the last round trips,
 * `slowRoundTripMs` their 85th percentile.
 * @typedef {{atMs: number, offsetMs: number, drift: number, roundTripMs: number, slowRoundTripMs: number}} ClockEstimate
 */

/**
 * A control command that a user gave. A pending command always has a `trackId`: where the command itself needs none,
 * this is the track that was current when the user pressed the button.
 * @typedef {object} Command
 * @property {'play' | 'pause' | 'seek' | 'next' | 'previous' | 'start-now' | 'nudge' | 'pick' | 'unpick' | 'move' | 'play-now' | 'shuffle' | 'sort' | 'undo' | 'rules' | 'hosts' | 'dj' | 'dj/random' | 'vote-dj' | 'vote-skip' | 'vote-pick'} name
 * @property {number} [positionSec]
 * @property {TrackId} [trackId]
 * @property {TrackId} [ended] With `next`: the track that has ended; absent if the user pressed the button.
 * @property {readonly TrackId[]} [trackIds] Of `pick` and `unpick`.
 * @property {TrackId | null} [before] Of `move`: the pick that is to follow; `null`: none.
 * @property {SortOrder} [order] Of `sort`.
 * @property {Partial<Rules>} [rules] Of `rules`: those that change. The members of this object are those of the request's body.
 * @property {MemberId | null} [memberId] Of `hosts`, `dj` and `vote-dj`.
 * @property {boolean} [host] Of `hosts`: whether the member is to be host.
 * @property {boolean} [up] Of `vote-skip` and `vote-pick`: `false` takes the vote back.
 * @property {Pick<Snapshot, 'queue' | 'queueIndex' | 'picks' | 'pickedBy'>} [restores] Of `undo`, and not sent: the state before
 *   the command that is taken back.
 */

/**
 * A command that is in progress or queued. `by`: this phone's member.
 * @typedef {Command & {trackId: TrackId, by?: MemberId | null}} PendingCommand
 */

/** @typedef {'album' | 'artist' | 'title' | 'added'} SortOrder */

/**
 * Settings of this phone, in localStorage.
 * @typedef {object} Settings
 * @property {string} name
 * @property {boolean} isRemoteControl Whether this phone plays no sound and only controls the room.
 * @property {number} storageMb Limit of the track cache in MB (1,000,000 bytes); applies only where the browser reports
 *   no quota.
 * @property {number} volume Of this phone, from 0 to 1, as the slider shows it.
 * @property {boolean} isMuted Whether this phone plays silently.
 * @property {boolean} isLevelling Whether tracks are levelled: to one loudness, apart from albums that are played through, which
 *   keep their inner balance.
 * @property {import('./language/languages.js').Language | 'auto'} language `auto`: as the browser prefers.
 */

/**
 * A track that is stored on this phone, completely or in part.
 * @typedef {object} CacheEntry
 * @property {TrackId} trackId
 * @property {string} version
 * @property {string} mime
 * @property {number} size In bytes.
 * @property {number} receivedBytes
 * @property {number} partCount Number of stored parts. Each part except the last has `PART_BYTES` bytes.
 * @property {number} usedAtMs When the track was last written or read, as `Date.now()`: the page clock restarts with
 *   each page, but the entry remains stored.
 */

/**
 * Why this phone cannot play a track: `format`: the browser does not support the format or could not decode the file;
 * `space`: the track does not fit into the storage; `fetch`: the download is postponed, because it has failed
 * repeatedly or the server does not have the track.
 * @typedef {'format' | 'space' | 'fetch'} UnplayableReason
 */

/**
 * Progress of a migration: how many tracks have been copied from the insecure page (http) to the secure page (https).
 * Only the secure page counts the copied tracks: on the insecure page `copied` stays 0.
 * @typedef {{copied: number, total: number}} MigrationProgress
 */

/**
 * @typedef {object} SoundState
 * @property {boolean} isLocked Whether this phone is silent until a tap, because of the browser's autoplay policy or for
 *   another reason.
 * @property {boolean} isInterrupted Whether `isLocked` is set because the system has stopped the sound, as for a phone call.
 * @property {boolean} isOutputMissing Whether `isLocked` is set because this phone has no audio output; then a tap unlocks
 *   the sound only after an output has been connected.
 * @property {boolean} isSounding Whether a track is playing on this phone.
 * @property {boolean} hasNoMoreSound Whether this phone could decode only the beginning of the track, and has played that.
 * @property {number | null} syncErrorMs `null` while there are too few measurements.
 * @property {PredictedStart | null} predictedStart The track change that this phone makes before the server confirms
 *   it.
 */

/**
 * @typedef {object} AppState
 * @property {'starting' | 'migrating' | 'join' | 'room' | 'migrated'} view `join`: the form for pairing; `migrating`: this
 *   page is copying tracks from the insecure page in another tab; `migrated`: this phone now uses the secure page in another tab.
 * @property {MigrationProgress | null} migration `null` while no tracks are being copied.
 * @property {MemberId | null} memberId
 * @property {import('./net/room-address.js').RoomId} roomId The room that this page is in.
 * @property {import('./net/room-address.js').RoomId | null} movedTo The room in which another tab of this phone listens. This page then
 *   follows its own room without sound.
 * @property {boolean} isRoomLocked Whether the join view is for a locked room, which this paired phone may enter with a password.
 * @property {readonly RoomRow[]} rooms All rooms, the house room first; empty until the list is loaded.
 * @property {Room | null} room
 * @property {ReadonlyMap<TrackId, Track>} index
 * @property {'connecting' | 'open' | 'reconnecting'} connection
 * @property {import('./language/texts.js').Message | null} disconnectReason A sentence for the user: why there is no connection, or why the join view
 *   is shown again.
 * @property {ReadonlySet<TrackId>} cachedTrackIds Tracks that are stored on this phone completely and in the version of
 *   the index. Includes the playing track in any version, and stored tracks that are not in the index.
 * @property {ReadonlyMap<TrackId, UnplayableReason>} unplayableReasons The tracks that this phone cannot play.
 * @property {ReadonlySet<TrackId>} readyTrackIds Tracks that the player has loaded and can start at once.
 * @property {DownloadProgress | null} download The download in progress.
 * @property {Settings} settings
 * @property {string} locale The BCP 47 tag of the language that the page shows.
 * @property {ClockEstimate | null} clock
 * @property {SoundState} sound
 * @property {boolean} isPausedHere Whether this phone alone is paused, while the room may play.
 * @property {boolean} isOtherTabSounding Whether another tab of this phone sounds in place of this one.
 * @property {import('./app/device-kind.js').OutputKind} outputKind
 * @property {boolean} hasOtherOutput Whether the sound comes from another output than when this phone's speaker was compared.
 * @property {boolean} isMeasuring Whether this phone records the test sounds of all phones.
 * @property {readonly PendingCommand[]} pendingCommands Commands that are in progress or queued, in order.
 * @property {number | null} trialDelayMs The speaker delay that the user is trying out, or that the server has
 *   accepted and the room does not contain yet; `null` while the room's delay applies.
 * @property {TestSoundSchedule | null} testSoundSchedule `null` while no test sounds are to be played.
 * @property {readonly HistoryEntry[]} history What was played, newest first, as far as it was loaded.
 * @property {readonly Playlist[] | null} playlists `null` until they are loaded.
 * @property {number} playlistChanges How many changes of playlists the server has reported.
 * @property {{message: import('./language/texts.js').Message, atMs: number} | null} happening What somebody else did last, and
 *   when (page clock).
 * @property {ScanProgress | null} scanProgress `null` while the server is not scanning.
 * @property {readonly Upload[]} uploads The unfinished uploads of this phone.
 * @property {readonly UploadProgress[]} roomUploads The uploads under way of all phones.
 * @property {readonly ChatMessage[]} chat The chat messages, oldest first.
 * @property {number | null} chatReadId The last chat message that this phone's user has read; `null` before the first messages are
 *   fetched on a phone that is new to the room.
 * @property {boolean} areUploadsOff Whether the server has refused an upload because it takes none.
 * @property {boolean} isScreenOpen Whether this page is a big screen (ui/big-screen/).
 * @property {boolean} hasStorageFailed Whether the browser's storage has failed. Tracks are then stored in memory only,
 *   and are lost when the page is closed.
 */

export {};
