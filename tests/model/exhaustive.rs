//! Checks all histories of a small room up to a number of steps, in a breadth-first search over distinct states. The room
//! has three tracks, and three devices that are paired from the start. A step is a command (of any kind except a rescan),
//! the passing of time, or a restart.
//!
//! A second search has two rules that change, hosts, a DJ and votes, and fewer of the other commands.
//!
//! The environment variable `LOCKSTEP_MODEL_DEPTH` is the number of steps; by default the search is short. The test prints
//! the number of states at each depth.

use std::collections::HashSet;
use std::sync::Arc;

use lockstep::room::{
    ApplyContext, BarrierType, Command, ComparisonMethod, Control, Departure, MemberId, Mode,
    Permitted, Pick, PickOrder, PickPlaces, ReportedPlayback, Room, RulesChange, TokenHash,
    TrackCatalog, TrackId, apply,
};

use super::invariants;

/// The number of paired devices at the start, and the largest number of them.
const DEVICES: usize = 3;
/// The number of tracks.
const TRACKS: u64 = 3;

/// The step `Wait` ends this long before the end of the track, near enough for `next` to keep the start time that the segue
/// promised.
const BEFORE_END_MS: f64 = 100.0;

/// How long a change of the queue can be undone, in milliseconds.
const UNDO_PERIOD_MS: f64 = 10_000.0;

/// The position in all requests and reports, in seconds. One position is enough, because all positions between the start and
/// the end of a track are equivalent.
const POSITION_SEC: f64 = 5.0;

/// A room and its clock. Time passes only in the step `Wait`; all other steps take no time.
#[derive(Clone)]
struct SearchState {
    room: Room,
    now_ms: f64,
    /// Whether the rules change.
    has_rules: bool,
}

enum SearchStep {
    Apply(Command),
    /// Waits until just before the end of the track.
    Wait,
    Restart,
}

impl SearchState {
    fn context(&self) -> ApplyContext {
        ApplyContext {
            now_ms: self.now_ms,
            lead_ms: 150.0,
            has_timed_starts: true,
        }
    }

    /// The state after the step; `None` if the command is rejected.
    fn after(&self, step: &SearchStep) -> Option<SearchState> {
        let (mut room, mut now_ms) = (self.room.clone(), self.now_ms);
        match step {
            SearchStep::Apply(command) => {
                room = invariants::apply_checked(&room, command, self.context())
                    .ok()?
                    .0
            }
            SearchStep::Wait => now_ms = now_ms.max(room.ends_at_ms()? - BEFORE_END_MS),
            SearchStep::Restart => room = invariants::restart(&room, self.context()),
        }
        Some(SearchState {
            room,
            now_ms,
            has_rules: self.has_rules,
        })
    }

    /// All steps that are possible now.
    fn steps(&self) -> Vec<SearchStep> {
        let clients = &self.room.durable.clients;
        let mut commands = vec![Command::EndOfTrack {
            if_match: self.count(),
        }];
        if clients.len() < DEVICES {
            commands.push(Command::Pair {
                name: String::new(),
                token_hash: self.new_token_hash(),
            });
        }
        if let Some(first) = clients.keys().next().copied() {
            commands.extend(self.playback_commands(first));
            commands.extend(self.pair_again(first));
            for member in clients.keys().copied() {
                commands.extend(self.listener_commands(member));
                if self.has_rules {
                    if member != first {
                        // With roles, the devices differ.
                        commands.extend(self.playback_commands(member));
                    }
                    commands.extend(self.rule_commands(member));
                } else {
                    commands.extend(self.device_commands(member, first));
                    commands.extend(self.acknowledgements(member));
                }
            }
        }
        let commands = commands.into_iter().map(SearchStep::Apply);
        [SearchStep::Wait, SearchStep::Restart]
            .into_iter()
            .chain(commands)
            .collect()
    }

    fn count(&self) -> u64 {
        self.room.durable.event_count
    }

    /// A hash that differs from all earlier ones: it contains the event count, and each pairing is an event.
    fn new_token_hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.count().to_le_bytes());
        TokenHash(hash)
    }

    fn control(&self, member: MemberId, control: Control) -> Command {
        Command::Control {
            member,
            if_match: self.count(),
            control,
        }
    }

    /// The requests of which one sender is enough, although some of them depend on it: devices that differ in nothing else are
    /// equivalent.
    fn playback_commands(&self, sender: MemberId) -> Vec<Command> {
        let position_sec = POSITION_SEC;
        let nudges = (1..=TRACKS).map(|n| Control::Nudge {
            track_id: TrackId(n),
        });
        let tracks = (1..=TRACKS).map(TrackId);
        let picks = tracks.clone().map(|track| Control::Pick {
            track_ids: vec![track],
        });
        let unpicks = tracks.clone().map(|track| Control::Unpick {
            track_ids: vec![track],
        });
        let plays = tracks.map(|track_id| Control::PlayNow { track_id });
        let ended = self.room.current_track_id();
        let ended = ended.map(|track_id| Control::Ended { track_id });
        [
            Control::Previous,
            Control::Shuffle { seed: 1 },
            Control::Play { position_sec },
            Control::Pause { position_sec },
            Control::Seek { position_sec },
            Control::Next,
            Control::StartNow,
        ]
        .into_iter()
        .chain(nudges)
        .chain(picks)
        .chain(unpicks)
        .chain(plays)
        .chain(ended)
        .map(|control| self.control(sender, control))
        .collect()
    }

    fn pair_again(&self, member: MemberId) -> Option<Command> {
        let mut tokens = self.room.private.token_hashes.iter();
        let (old_token_hash, _) = tokens.find(|(_, owner)| **owner == member)?;
        Some(Command::PairAgain {
            member,
            name: String::new(),
            token_hash: self.new_token_hash(),
            old_token_hash: *old_token_hash,
        })
    }

    /// The commands that the hub sends when a device connects, disconnects or stalls.
    fn listener_commands(&self, member: MemberId) -> Vec<Command> {
        let report = |track_id| ReportedPlayback {
            track_id,
            position_sec: POSITION_SEC,
        };
        let arrive = |playback| Command::Arrive { member, playback };
        let depart = |how| Command::Depart { member, how };
        vec![
            arrive(None),
            arrive(self.room.current_track_id().map(report)),
            arrive(self.room.next_up_id().map(report)),
            depart(Departure::Left),
            depart(Departure::Vanished),
            Command::DropStalled { member },
        ]
    }

    fn device_commands(&self, member: MemberId, other: MemberId) -> Vec<Command> {
        vec![
            self.control(member, Control::Undo),
            Command::Leave { member },
            Command::Unpair {
                member: other,
                target: member,
            },
            Command::Rename {
                member,
                name: self.count().to_string(),
            },
            Command::Compare {
                sender: None,
                by: ComparisonMethod::Server,
                at: self.count().to_string(),
                compared: [other, member].into(),
                delays: [(other, 2.0), (member, 0.0)].into(),
            },
            Command::Tune {
                member,
                delays: [(other, 0.0), (member, 1.0 + self.count() as f64)].into(),
            },
        ]
    }

    /// The commands about the rules `control` and `order`, about roles and votes, and those that depend on them.
    fn rule_commands(&self, member: MemberId) -> Vec<Command> {
        let durable = &self.room.durable;
        let change = RulesChange::default();
        let rules = [
            RulesChange {
                control: Some(match durable.rules.control {
                    Permitted::Everyone => Permitted::Dj,
                    _ => Permitted::Everyone,
                }),
                ..change.clone()
            },
            RulesChange {
                order: Some(match durable.rules.order {
                    PickOrder::First => PickOrder::Turns,
                    _ => PickOrder::First,
                }),
                ..change
            },
        ];
        let mut controls: Vec<_> = rules.into_iter().map(Control::ChangeRules).collect();
        controls.extend([
            Control::Undo,
            Control::VoteDj { member_id: None },
            Control::VoteDj {
                member_id: Some(member),
            },
        ]);
        if let Some(track_id) = self.room.current_track_id() {
            let up = !durable.skip_votes.contains(&member);
            controls.push(Control::VoteSkip { track_id, up });
        }
        if let Some(pick) = durable.picks.last() {
            let up = !pick.votes.contains(&member);
            let track_id = pick.track_id;
            controls.push(Control::VotePick { track_id, up });
        }
        let mut commands: Vec<_> = controls
            .into_iter()
            .map(|control| self.control(member, control))
            .collect();
        if let Some(host) = durable.hosts.first() {
            let host_is = Control::ChangeHosts {
                member_id: member,
                host: !durable.hosts.contains(&member),
            };
            let dj = Control::ChangeDj {
                member_id: Some(member).filter(|member| durable.dj != Some(*member)),
            };
            commands.extend([self.control(*host, host_is), self.control(*host, dj)]);
            let target = member;
            let member = *host;
            commands.push(Command::Unpair { member, target });
        }
        if let Some(dj) = durable.dj {
            let member_id = Some(member).filter(|member| dj != *member);
            commands.push(self.control(dj, Control::ChangeDj { member_id }));
            commands.push(Command::DjGone { member: dj });
        }
        commands.push(Command::Leave { member });
        commands
    }

    /// Acknowledgements of the current track and of next-up for the current event count; and late acknowledgements of the
    /// current track, for the event count at which the barrier opened and for the count before that one.
    fn acknowledgements(&self, member: MemberId) -> Vec<Command> {
        let opened_event_count = self.room.private.barrier_opened_event_count;
        let late_counts = [opened_event_count, opened_event_count.saturating_sub(1)];
        let mut commands = Vec::new();
        for playable in [true, false] {
            let ack = |track_id| Control::AckDownload {
                track_id,
                playable,
                duration_sec: None,
            };
            let tracks = [self.room.current_track_id(), self.room.next_up_id()];
            for track_id in tracks.into_iter().flatten() {
                commands.push(self.control(member, ack(track_id)));
            }
            let Some(current) = self.room.current_track_id() else {
                continue;
            };
            for if_match in late_counts
                .into_iter()
                .filter(|count| *count < self.count())
            {
                commands.push(Command::Control {
                    member,
                    if_match,
                    control: ack(current),
                });
            }
        }
        commands
    }
}

/// One device's part of the state: whether the device listens; for each track in play order, starting with the current
/// track, 1 if the device holds the track, 2 if it cannot play the track, otherwise 0; and 1 for a barrier member, 2 for a
/// ready member, otherwise 0; which picks are the device's, before and after an undo, and whether it made the change to undo.
type DeviceKey = (
    bool,
    [u8; TRACKS as usize],
    u8,
    OwnedPicks,
    OwnedPicks,
    bool,
    RolesKey,
);

/// A device's part of the roles and votes: whether it is host, whether it is DJ and votes for skipping, its vote for a DJ (0: none, 1:
/// nobody, 2: itself), for which picks it votes, before and after an undo, and for how long it cannot be DJ.
type RolesKey = (bool, bool, bool, u8, u8, u8, i64);

/// The rules that change, and for each pick, its rank by arrival, its turn from the lowest one, and whether it is pinned.
type RulesKey = (u8, u8, PlacesKey);
type PlacesKey = Vec<(usize, i64, bool)>;

fn places_key(picks: &[Pick], places: &PickPlaces) -> PlacesKey {
    let lowest = places.values().map(|place| place.turn).min().unwrap_or(0);
    let rank = |arrival| {
        let earlier = places.values().filter(|place| place.arrival < arrival);
        earlier.count()
    };
    let key = |pick: &Pick| {
        let place = places[&pick.track_id];
        (rank(place.arrival), place.turn - lowest, pick.pinned)
    };
    picks.iter().map(key).collect()
}

fn voted_picks(member: MemberId, picks: &[Pick]) -> u8 {
    picks.iter().enumerate().fold(0, |mask, (at, pick)| {
        mask | u8::from(pick.votes.contains(&member)) << at
    })
}

/// Which picks are a device's: a bit mask of their positions, and whether the device picked the current track.
type OwnedPicks = (u8, bool);

/// What an undo would restore: the ring, as places in the present ring; the number of picks; the time that is left; the position of
/// the track, if it would start; the name of the event; and the places of the picks.
type UndoKey = (Vec<usize>, usize, i64, Option<i64>, &'static str, PlacesKey);

fn owned_picks(member: MemberId, picks: &[Pick], picked_by: Option<MemberId>) -> OwnedPicks {
    let mask = picks.iter().enumerate().fold(0, |mask, (at, pick)| {
        mask | u8::from(pick.by == Some(member)) << at
    });
    (mask, picked_by == Some(member))
}

/// Identifies a state: everything except the event counts, the names, the speaker delays and the time. States that differ
/// only in a permutation of devices or tracks have equal keys, because they have the same successors up to that permutation.
#[derive(PartialEq, Eq, Hash)]
struct StateKey {
    queue_index: usize,
    playing: bool,
    anchor_ms: i64,
    barrier: Option<BarrierKey>,
    /// Relative to now, in milliseconds, as are all times below.
    anchor_at_ms: Option<i64>,
    /// The start that the segue promises. The track of the segue is always next-up.
    segue_ms: Option<i64>,
    position_unknown_ms: Option<i64>,
    picks: usize,
    undo: Option<UndoKey>,
    rules: RulesKey,
    devices: Vec<DeviceKey>,
}

/// Whether the barrier is of type `track`; and whether events have happened since it opened, so that an acknowledgement can
/// be late.
type BarrierKey = (bool, bool);

/// The key of `state`.
fn key(state: &SearchState) -> StateKey {
    let (durable, live) = (&state.room.durable, &state.room.live);
    let mut ring = durable.queue.to_vec();
    ring.rotate_left(durable.queue_index);
    let device_key = |member: &MemberId| -> DeviceKey {
        let device = live.device_tracks.get(member);
        let mut tracks = [0; TRACKS as usize];
        for (key, track) in tracks.iter_mut().zip(&ring) {
            let downloaded = device.is_some_and(|d| d.downloaded.contains(track));
            let unplayable = device.is_some_and(|d| d.unplayable.contains(track));
            *key = u8::from(downloaded) + 2 * u8::from(unplayable);
        }
        let membership = durable.barrier.as_ref().map_or(0, |barrier| {
            u8::from(barrier.members.contains(member)) + u8::from(barrier.ready.contains(member))
        });
        let undo = live.undo.as_ref();
        (
            live.listeners.contains(member),
            tracks,
            membership,
            owned_picks(*member, &durable.picks, durable.picked_by),
            undo.map_or((0, false), |undo| {
                owned_picks(*member, &undo.picks, undo.picked_by)
            }),
            undo.is_some_and(|undo| undo.by == *member),
            (
                durable.hosts.contains(member),
                durable.dj == Some(*member),
                durable.skip_votes.contains(member),
                match durable.dj_votes.get(member) {
                    None => 0,
                    Some(None) => 1,
                    Some(Some(_)) => 2,
                },
                voted_picks(*member, &durable.picks),
                undo.map_or(0, |undo| voted_picks(*member, &undo.picks)),
                live.dj_cooldowns
                    .get(member)
                    .map_or(-1, |until_ms| ((until_ms - state.now_ms) as i64).max(-1)),
            ),
        )
    };
    let mut devices: Vec<_> = durable.clients.keys().map(device_key).collect();
    devices.sort_unstable();
    let from_now = |ms: f64| (ms - state.now_ms).round() as i64;
    let opened_event_count = state.room.private.barrier_opened_event_count;
    StateKey {
        queue_index: durable.queue_index,
        playing: durable.play_state.mode == Mode::Playing,
        anchor_ms: (durable.play_state.anchor_position_sec * 1e3).round() as i64,
        barrier: durable.barrier.as_ref().map(|barrier| {
            (
                barrier.kind == BarrierType::Track,
                opened_event_count < durable.event_count,
            )
        }),
        anchor_at_ms: live.anchor_at_ms.map(from_now),
        segue_ms: live.segue.map(|segue| from_now(segue.anchor_at_ms)),
        picks: durable.picks.len(),
        undo: live.undo.as_ref().map(|undo| {
            let mut restored = undo.queue.to_vec();
            restored.rotate_left(undo.queue_index);
            let place = |track: &TrackId| ring.iter().position(|queued| queued == track);
            let places = restored.iter().filter_map(place).collect();
            let position_ms = undo
                .playback
                .map(|playback| (playback.position_sec * 1e3) as i64);
            let left_ms = from_now(undo.at_ms + UNDO_PERIOD_MS).max(-1);
            let pick_places = places_key(&undo.picks, &undo.pick_places);
            let name = undo.event.name();
            (
                places,
                undo.picks.len(),
                left_ms,
                position_ms,
                name,
                pick_places,
            )
        }),
        rules: (
            durable.rules.control as u8,
            durable.rules.order as u8,
            places_key(&durable.picks, &state.room.private.pick_places),
        ),
        // All times in the past are equivalent, so they become -1.
        position_unknown_ms: live
            .position_unknown_until_ms
            .map(|ms| from_now(ms).max(-1)),
        devices,
    }
}

/// A room with [`TRACKS`] tracks and [`DEVICES`] paired devices that do not listen yet.
fn small_room() -> SearchState {
    let mut state = SearchState {
        room: Room::default(),
        now_ms: 0.0,
        has_rules: false,
    };
    let catalog = TrackCatalog::new((1..=TRACKS).map(|n| (TrackId(n), 60.0)));
    let mut commands = vec![Command::Library(Arc::new(catalog))];
    commands.extend((1..=DEVICES).map(|n| Command::Pair {
        name: String::new(),
        token_hash: TokenHash([n as u8; 32]),
    }));
    for command in commands {
        state.room = apply(&state.room, &command, state.context())
            .expect("a new room accepts the command")
            .0;
    }
    state
}

/// The number of steps of a search.
fn depth(default: usize) -> usize {
    std::env::var("LOCKSTEP_MODEL_DEPTH").map_or(default, |text| {
        text.parse()
            .expect("LOCKSTEP_MODEL_DEPTH is a number of steps")
    })
}

#[test]
fn all_short_histories_of_a_small_room_keep_the_invariants() {
    search(small_room(), depth(4));
}

#[test]
fn all_short_histories_with_two_rules_keep_the_invariants() {
    let mut start = small_room();
    start.has_rules = true;
    let members: Vec<_> = start.room.durable.clients.keys().copied().collect();
    let tracks = start.room.durable.queue.clone();
    let skip_share = RulesChange {
        skip_share: Some(0.5),
        ..RulesChange::default()
    };
    for member in &members {
        let arrive = Command::Arrive {
            member: *member,
            playback: None,
        };
        let applied = invariants::apply_checked(&start.room, &arrive, start.context());
        start.room = applied.expect("a paired device may listen").0;
    }
    let holds = |track_id| Control::AckDownload {
        track_id,
        playable: true,
        duration_sec: None,
    };
    let mut controls: Vec<_> = members
        .iter()
        .flat_map(|member| tracks.iter().map(|track| (*member, holds(*track))))
        .collect();
    controls.push((members[0], Control::ChangeRules(skip_share)));
    controls.push((members[0], Control::Play { position_sec: 0.0 }));
    for (member, control) in controls {
        let command = start.control(member, control);
        let applied = invariants::apply_checked(&start.room, &command, start.context());
        start.room = applied.expect("a new room accepts the request").0;
    }
    search(start, depth(3));
}

/// Applies all steps to all states that `depth` steps reach.
fn search(start: SearchState, depth: usize) {
    let mut visited = HashSet::from([key(&start)]);
    let mut frontier = vec![start];
    for reached in 1..=depth {
        let (mut next, mut steps) = (Vec::new(), 0);
        for state in &frontier {
            for after in state.steps().iter().filter_map(|step| state.after(step)) {
                steps += 1;
                if visited.insert(key(&after)) {
                    next.push(after);
                }
            }
        }
        println!(
            "{reached} steps: {} states, {} of them new, {steps} steps applied",
            visited.len(),
            next.len()
        );
        frontier = next;
    }
}
