//! What became of the uploads.

use super::device_records::Member;

/// An upload that has become a track.
#[derive(Debug)]
pub(super) struct FinishedUpload {
    pub(super) track: String,
    pub(super) member: Member,
    /// The event count of a state before the upload.
    pub(super) begun_after: u64,
    /// The event count of a state after the upload: at this event at the latest, the track was picked.
    pub(super) picked_until: u64,
}

/// The uploads that have ended.
#[derive(Debug, Default)]
pub(super) struct UploadRecords {
    pub(super) finished: Vec<FinishedUpload>,
    /// The ids of the uploads that were cancelled or refused.
    pub(super) ended: Vec<String>,
}
