//! Comparing the speakers of phones by a microphone: the phones chirp one after the other, and their lateness relative to each
//! other is found in one recording. Without I/O and clock; `lockstep compare` records and talks to the server.
//!
//! The page does the same with the microphone of a phone. Both use the same sounds at the same times
//! (`static/js/sound/test-sound-samples.js`, `test-sound-schedule.js`); `tests/fixtures/chirps.json` holds both to them.

mod chirps;
mod delays;
mod detector;
mod filter;
mod recording;

pub use chirps::{ChirpSound, ChirpTurn, SAME_CHIRP_INTERVAL_MS, chirp_turns};
pub use delays::corrected_delays;
pub use detector::{Lateness, measure_lateness};
pub use recording::{Recording, RecordingBuilder};
