//! Cleans the device names that users enter.

use crate::clean_text::clean_line;

/// The longest device name, in characters (Unicode scalar values).
const MAX_CHARS: usize = 40;

/// Returns the name as one line of at most 40 characters; see [`clean_line`]. Returns an empty string if no visible
/// character remains.
pub fn clean_device_name(name: &str) -> String {
    clean_line(name, MAX_CHARS)
}
