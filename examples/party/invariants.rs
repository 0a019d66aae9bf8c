//! The invariants that the simulation checks: how often each was checked and violated, and the first violations in words.

/// The most violations whose descriptions are kept.
const MAX_DESCRIPTIONS: usize = 20;

/// A property that the server guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invariant {
    PatchesMatchSnapshots,
    EventCountsAreContiguous,
    StreamsAgree,
    PicksFollowCurrent,
    RulesAreKept,
    VotesFollowRules,
    EventsNameTheirCause,
    AcceptedCommandsAreBroadcast,
    RefusedCommandsChangeNothing,
    ResponsesFollowProtocol,
    ConflictsAreCurrent,
    WaitsAreLimited,
    ActiveMembersAreKept,
    MembersOnlyShrink,
    StartsNeedReadyMembers,
    SeguesAreKept,
    DownloadsAreComplete,
    StreamsStayOpen,
    UploadsKeepTheirBytes,
    UploadsBecomePicks,
}

impl Invariant {
    /// All invariants, in the order of their discriminants, which index the counters of [`InvariantChecks`].
    const ALL: [Invariant; 20] = [
        Invariant::PatchesMatchSnapshots,
        Invariant::EventCountsAreContiguous,
        Invariant::StreamsAgree,
        Invariant::PicksFollowCurrent,
        Invariant::RulesAreKept,
        Invariant::VotesFollowRules,
        Invariant::EventsNameTheirCause,
        Invariant::AcceptedCommandsAreBroadcast,
        Invariant::RefusedCommandsChangeNothing,
        Invariant::ResponsesFollowProtocol,
        Invariant::ConflictsAreCurrent,
        Invariant::WaitsAreLimited,
        Invariant::ActiveMembersAreKept,
        Invariant::MembersOnlyShrink,
        Invariant::StartsNeedReadyMembers,
        Invariant::SeguesAreKept,
        Invariant::DownloadsAreComplete,
        Invariant::StreamsStayOpen,
        Invariant::UploadsKeepTheirBytes,
        Invariant::UploadsBecomePicks,
    ];

    fn description(self) -> &'static str {
        match self {
            Invariant::PatchesMatchSnapshots => "patched state equals the server's snapshot",
            Invariant::EventCountsAreContiguous => "event counts have no gap and no repetition",
            Invariant::StreamsAgree => "every stream carries the same events",
            Invariant::PicksFollowCurrent => {
                "the picks follow the current track, and no track is queued twice"
            }
            Invariant::RulesAreKept => {
                "a command is refused with 403 exactly if the rules do not permit it"
            }
            Invariant::VotesFollowRules => {
                "roles and votes are those of paired devices, and picks in the order of the rules"
            }
            Invariant::EventsNameTheirCause => {
                "every durable event names the device that caused it, or null"
            }
            Invariant::AcceptedCommandsAreBroadcast => {
                "the events of an accepted command reach every stream"
            }
            Invariant::RefusedCommandsChangeNothing => "a refused command changes nothing",
            Invariant::ResponsesFollowProtocol => {
                "every request gets a response that the protocol allows"
            }
            Invariant::ConflictsAreCurrent => {
                "a 409 is justified and contains the current event count and snapshot"
            }
            Invariant::WaitsAreLimited => "no barrier waits for a member beyond the timeout",
            Invariant::ActiveMembersAreKept => "no connected and active member leaves a barrier",
            Invariant::MembersOnlyShrink => "a barrier never gains a member",
            Invariant::StartsNeedReadyMembers => {
                "a track starts only after every member has acknowledged it"
            }
            Invariant::SeguesAreKept => "the next track starts at the time its segue announced",
            Invariant::DownloadsAreComplete => "downloads are complete and equal for all phones",
            Invariant::StreamsStayOpen => "event streams stay open and can be reopened",
            Invariant::UploadsKeepTheirBytes => "an upload continues with the bytes that arrived",
            Invariant::UploadsBecomePicks => {
                "a whole upload is in the index, with its title, and is picked for its device"
            }
        }
    }
}

/// How often each invariant was checked and violated.
#[derive(Debug, Default)]
pub(super) struct InvariantChecks {
    checked: [u64; Invariant::ALL.len()],
    violated: [u64; Invariant::ALL.len()],
    descriptions: Vec<String>,
}

impl InvariantChecks {
    /// Counts a check. `violation` describes the violation; `None` means that the invariant holds.
    pub(super) fn record(&mut self, invariant: Invariant, violation: Option<String>) {
        self.checked[invariant as usize] += 1;
        if let Some(text) = violation {
            self.violated[invariant as usize] += 1;
            if self.descriptions.len() < MAX_DESCRIPTIONS {
                self.descriptions
                    .push(format!("{}: {text}", invariant.description()));
            }
        }
    }

    /// Counts a check. Calls `violation` for the description if the invariant does not hold.
    pub(super) fn check(
        &mut self,
        invariant: Invariant,
        holds: bool,
        violation: impl FnOnce() -> String,
    ) {
        self.record(invariant, (!holds).then(violation));
    }

    /// The violations of all invariants.
    pub(super) fn violations(&self) -> u64 {
        self.violated.iter().sum()
    }

    /// The first violations in words, at most [`MAX_DESCRIPTIONS`].
    pub(super) fn descriptions(&self) -> &[String] {
        &self.descriptions
    }

    /// The description, the number of checks, and the number of violations of each invariant.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let counts = self.checked.iter().zip(&self.violated);
        Invariant::ALL
            .iter()
            .zip(counts)
            .map(|(invariant, (checked, violated))| (invariant.description(), *checked, *violated))
    }
}
