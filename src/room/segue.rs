//! The segue: the promise that next-up (the track after the current one) starts at a stated time, so that devices can
//! schedule its start before the current track ends, and the change of tracks has no gap.

use serde::Serialize;

use super::decoded_lengths::MIN_LENGTH_CONTRADICTION_SEC;
use super::id::TrackId;
use super::transition::Transition;

/// A device's `next` at most this long before the promised start keeps the promised time, in milliseconds: a device may
/// send `next` a little before the last sample of the track is heard.
pub(super) const MAX_EARLY_MS: f64 = 500.0;
/// A device's `next` at most this long after the promised start keeps the promised time, in milliseconds. Longer than the
/// three seconds after which the hub sends [`Command::EndOfTrack`](super::Command::EndOfTrack) itself.
pub(super) const MAX_LATE_MS: f64 = 5_000.0;
/// From this long before the promised start on, the promised gain stays as it is, in milliseconds: the event with another gain
/// might reach some devices after the start.
const GAIN_FREEZE_MS: f64 = 1_000.0;

/// The promise that next-up starts at a known time, made once all listeners are ready for next-up. The promise is valid
/// only while the room's event count is `event_count`, because an event may change the queue or the position. After an event
/// that changes neither the end of the current track nor next-up, the same promise is made again at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Segue {
    /// The track that starts: next-up.
    pub track_id: TrackId,
    /// When the track starts, in milliseconds of the server's clock.
    pub anchor_at_ms: f64,
    /// The gain in dB with which all devices play the track; `None` if its loudness is unknown.
    pub gain_db: Option<f64>,
    /// The event count for which the promise is valid.
    pub event_count: u64,
}

impl Transition {
    /// The start of next-up that the segue promised, in milliseconds of the server's clock. `None` if no promise is valid, or if
    /// now is more than `max_early_ms` before the promised start or more than `max_late_ms` after it.
    pub(super) fn promised_start_ms(&self, max_early_ms: f64, max_late_ms: f64) -> Option<f64> {
        let segue = self.room.live.segue?;
        let late_ms = self.context.now_ms - segue.anchor_at_ms;
        let is_kept = segue.event_count == self.room.durable.event_count
            && (-max_early_ms..=max_late_ms).contains(&late_ms);
        is_kept.then_some(segue.anchor_at_ms)
    }

    /// Keeps the promise if no event has changed next-up or the end of the current track since it was made, even if a listener
    /// that is not ready has arrived meanwhile: the other devices have already scheduled the start, or have started. If there
    /// is no such promise, makes one if possible. A
    /// promise is moved if the current track has turned out to have another length, and its gain changes if the loudness of
    /// next-up has become known. A promise is never withdrawn without an event, because the devices would not learn that.
    pub(super) fn update_segue(&mut self) {
        let event_count = self.room.durable.event_count;
        let promised = self.room.live.segue;
        let kept = promised.filter(|segue| segue.event_count == event_count || self.holds(segue));
        let ends_at_ms = self.room.ends_at_ms();
        let moved = kept.map(|segue| {
            // After the promised start, the devices already play next-up.
            let is_started = self.context.now_ms >= segue.anchor_at_ms;
            let is_moved = |ms: &f64| !is_started && has_length_changed(*ms, segue.anchor_at_ms);
            let anchor_at_ms = ends_at_ms.filter(is_moved).unwrap_or(segue.anchor_at_ms);
            let is_gain_frozen = self.context.now_ms >= anchor_at_ms - GAIN_FREEZE_MS;
            Segue {
                anchor_at_ms,
                gain_db: match is_gain_frozen {
                    true => segue.gain_db,
                    false => self.room.next_up_gain_db(),
                },
                event_count,
                ..segue
            }
        });
        self.room.live.segue = moved.or_else(|| self.new_segue());
    }

    /// Whether next-up still is the promised track, and the current track still ends at the promised time. No listener is ready
    /// for a track whose file was replaced.
    fn holds(&self, segue: &Segue) -> bool {
        let ends_at_ms = self.room.ends_at_ms();
        let mut listeners = self.room.live.listeners.iter();
        self.context.has_timed_starts
            && self.room.next_up_id() == Some(segue.track_id)
            && listeners.any(|member| self.room.is_ready(*member, segue.track_id))
            && ends_at_ms.is_some_and(|ms| !has_length_changed(ms, segue.anchor_at_ms))
    }

    /// The promise that can be made now; `None` unless all listeners are ready for next-up and the current track ends in the
    /// future.
    fn new_segue(&self) -> Option<Segue> {
        let room = &self.room;
        let track_id = room.next_up_id()?;
        let mut listeners = room.live.listeners.iter();
        let are_all_ready = !room.live.listeners.is_empty()
            && listeners.all(|member| room.is_ready(*member, track_id));
        let anchor_at_ms = room.ends_at_ms()?;
        let can_promise =
            are_all_ready && self.context.has_timed_starts && anchor_at_ms > self.context.now_ms;
        can_promise.then_some(Segue {
            track_id,
            anchor_at_ms,
            gain_db: room.next_up_gain_db(),
            event_count: room.durable.event_count,
        })
    }
}

/// Whether the two end times differ by enough that the length of the track must have changed. Both in milliseconds.
fn has_length_changed(ends_at_ms: f64, promised_ms: f64) -> bool {
    (ends_at_ms - promised_ms).abs() > MIN_LENGTH_CONTRADICTION_SEC * 1e3
}
