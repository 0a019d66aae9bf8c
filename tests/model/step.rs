//! The steps of random histories, and the form in which a failed history is printed.

use lockstep::room::SortOrder;

/// One step of a history. Unless stated otherwise, a first field of type `u8` is the number of a device, modulo the number
/// of paired devices, so that every history is valid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// Pairs devices until at least this many are paired, and connects this many as listeners.
    AddListeners(u8),
    /// The fields are a device and a position in seconds, as in `Pause` and `Seek`.
    Play(u8, f64),
    Pause(u8, f64),
    Seek(u8, f64),
    Next(u8),
    /// The last field is the track that has ended.
    Ended(u8, TrackRef),
    Previous(u8),
    PlayNow(u8, TrackRef),
    Nudge(u8, TrackRef),
    /// The last fields are the tracks.
    Pick(u8, TrackRef, TrackRef),
    Unpick(u8, TrackRef, TrackRef),
    /// The last fields are the pick, and the pick before which it is placed.
    Move(u8, TrackRef, Option<TrackRef>),
    /// The last field is the seed.
    Shuffle(u8, u8),
    Sort(u8, SortOrder),
    Undo(u8),
    /// An acknowledgement. The last field is whether the device can play the track.
    Ack(u8, TrackRef, bool),
    /// An acknowledgement with a decoded length. The last field is by how many tenths of a second it is longer than the catalog
    /// states, or shorter if negative.
    DecodedAck(u8, TrackRef, i8),
    /// An acknowledgement of the current track. The last field is by how much its event count is lower than the current one.
    LateAck(u8, u8),
    /// All listeners acknowledge the track, one after the other.
    AllAcknowledge(TrackRef),
    StartNow(u8),
    /// A `next` for an event count that is too high.
    StaleNext(u8),
    /// Several commands whose sender is not paired.
    UnpairedSender,
    Pair,
    PairAgain(u8),
    /// The last field is the new name.
    Rename(u8, u8),
    /// The fields are the sender, a second device, which may be unknown (`MAX_MEMBERS`), and the delay of the second
    /// device's speaker in milliseconds.
    Tune(u8, u8, i8),
    /// A device reports its kind. The last field is the number of the kind.
    Describe(u8, u8),
    /// A device sets the trim of another one, in dB.
    Trim(u8, u8, i8),
    /// The last field is the number of a change in `rule_changes::change`.
    ChangeRules(u8, u8),
    /// The fields are the sender, the device, which may be unknown (`MAX_MEMBERS`), and whether it becomes host.
    ChangeHosts(u8, u8, bool),
    /// The user of the server's machine makes a device host, which may be unknown (`MAX_MEMBERS`).
    MakeHost(u8),
    /// The last field is the device that is to be DJ, which may be unknown (`MAX_MEMBERS`); `None` for nobody.
    ChangeDj(u8, Option<u8>),
    /// The last field is the seed.
    ChooseDj(u8, u8),
    DjGone(u8),
    /// The last fields are as in `ChangeDj`, and by how much the vote's event count is lower than the current one.
    VoteDj(u8, Option<u8>, u8),
    /// The last field is whether the vote is for it, or is taken back.
    VoteSkip(u8, TrackRef, bool),
    VotePick(u8, TrackRef, bool),
    Leave(u8),
    /// The fields are the sender and the device to unpair: another device, the sender, or an unknown device (`MAX_MEMBERS`).
    Unpair(u8, u8),
    /// The last field is an optional report of the playback: the track and the position in seconds.
    Arrive(u8, Option<(TrackRef, f64)>),
    /// The last field is `true` if the device vanished, and `false` if it closed its stream.
    Depart(u8, bool),
    DropStalled(u8),
    EndOfTrack,
    /// A new catalog. The fields are the bit mask of its tracks, and by how many tens of seconds each track is longer than
    /// in the first catalog.
    Rescan(u8, u8),
    /// A restart of the process. The field is `ApplyContext::has_timed_starts` after the restart.
    Restart(bool),
    /// Lets this many milliseconds pass.
    Wait(u16),
    /// Lets time pass until this many milliseconds after the end of the current track, or before the end if negative.
    WaitForTheEnd(i16),
}

/// A reference to a track, resolved when the step is applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum TrackRef {
    Current,
    NextUp,
    Number(u8),
    /// The pick at this place, modulo the number of picks.
    NthPick(u8),
}

/// The steps as a call of `replay`, formatted as in `regressions`.
pub(crate) fn format_as_regression(steps: &[Step]) -> String {
    let lines: String = steps.iter().map(|s| format!("        {s:?},\n")).collect();
    format!("    replay(&[\n{lines}    ]);\n")
}
