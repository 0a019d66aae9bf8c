//! Watches for how long the DJ has been without a stream. Reads no clock: the caller passes the time.

use std::time::{Duration, Instant};

use crate::room::MemberId;

/// A DJ without a stream is DJ no more after this much music.
const MAX_MUSIC: Duration = Duration::from_secs(60);
/// A DJ without a stream is DJ no more after this much time without music.
const MAX_PAUSE: Duration = Duration::from_secs(10 * 60);

/// A DJ without a stream.
#[derive(Debug)]
struct Absence {
    dj: MemberId,
    /// How long music has played during the absence, and for how long not, until `updated_at`.
    music: Duration,
    pause: Duration,
    updated_at: Instant,
    is_playing: bool,
}

/// The absence of the DJ of one room.
#[derive(Debug, Default)]
pub(super) struct DjWatch {
    absence: Option<Absence>,
}

impl DjWatch {
    /// Updates the absence. Must be called whenever the arguments change. `absent_dj` is the DJ if it has no stream, and
    /// `is_playing` is whether music plays. Returns when the DJ is gone unless it comes back or the music stops or starts.
    pub(super) fn update(
        &mut self,
        absent_dj: Option<MemberId>,
        is_playing: bool,
        now: Instant,
    ) -> Option<(MemberId, Instant)> {
        let Some(dj) = absent_dj else {
            self.absence = None;
            return None;
        };
        let same = self.absence.take().filter(|absence| absence.dj == dj);
        let mut absence = same.unwrap_or(Absence {
            dj,
            music: Duration::ZERO,
            pause: Duration::ZERO,
            updated_at: now,
            is_playing,
        });
        let elapsed = now.saturating_duration_since(absence.updated_at);
        match absence.is_playing {
            true => absence.music += elapsed,
            false => absence.pause += elapsed,
        }
        absence.updated_at = now;
        absence.is_playing = is_playing;
        let rest = match is_playing {
            true => MAX_MUSIC.saturating_sub(absence.music),
            false => MAX_PAUSE.saturating_sub(absence.pause),
        };
        self.absence = Some(absence);
        Some((dj, now + rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DJ: MemberId = MemberId(1);

    /// A watch with a clock, in seconds from the start.
    struct Clock {
        watch: DjWatch,
        start: Instant,
    }

    impl Clock {
        fn new() -> Self {
            Clock {
                watch: DjWatch::default(),
                start: Instant::now(),
            }
        }

        /// When the absent DJ is gone, in seconds from the start.
        fn gone_at(&mut self, at_sec: u64, dj: MemberId, is_playing: bool) -> u64 {
            let now = self.start + Duration::from_secs(at_sec);
            let (gone, at) = self.watch.update(Some(dj), is_playing, now).unwrap();
            assert_eq!(gone, dj);
            at.duration_since(self.start).as_secs()
        }
    }

    #[test]
    fn absent_dj_is_gone_after_a_minute_of_music_or_ten_of_pause() {
        let mut clock = Clock::new();
        assert_eq!(clock.gone_at(0, DJ, false), 600);
        assert_eq!(clock.gone_at(100, DJ, true), 160);
        assert_eq!(clock.gone_at(130, DJ, false), 630);
        assert_eq!(clock.gone_at(200, DJ, true), 230);
        assert_eq!(clock.gone_at(230, DJ, true), 230);
    }

    #[test]
    fn absence_begins_again_when_the_dj_has_been_back_or_is_another_one() {
        let mut clock = Clock::new();
        assert_eq!(clock.gone_at(0, DJ, true), 60);
        assert_eq!(clock.watch.update(None, true, clock.start), None);
        assert_eq!(clock.gone_at(50, DJ, true), 110);
        assert_eq!(clock.gone_at(100, MemberId(2), true), 160);
    }
}
