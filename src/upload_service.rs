//! The work that follows an upload: makes a complete file a track, picks the track for its uploader, removes uploads that have
//! expired, and tells the rooms which uploads are under way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::hub::{Hub, HubError};
use crate::library::{Index, Library, clean_title};
use crate::room::{Command, Control, MemberId, Rejection, TrackId};
use crate::rooms::Rooms;
use crate::uploads::{Completed, StoredUpload, Unfinished, UploadError, Uploads, Writer};

/// The longest time between two searches for expired uploads.
const MAX_SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest time between two searches for expired uploads.
const MIN_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time between two reports of the uploads under way.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// How often to look whether a new track is listed: the index may change without a change of any room.
const INDEX_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The longest wait for the scan that lists a new track, before a request is answered.
const LISTING_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait until the rooms lack a removed track, before a request is answered: the disk of one of them may hang.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(3);
/// The receive buffers of all uploads together, in bytes. The kernel doubles them, and most of that can wait in the queue of an
/// access point: about 20 ms at 20 Mbit/s. `tests/web/measure-uploads.mjs` measures the effect.
const RECEIVE_BUFFERS_SIZE: usize = 24 << 10;
/// The smallest receive buffer of an upload: a few packets.
const MIN_RECEIVE_BUFFER_SIZE: usize = 4 << 10;
/// How often a pick is repeated when other commands come first.
const MAX_PICK_ATTEMPTS: usize = 100;

/// The uploads, and what they need of the other parts of the server.
#[derive(Debug)]
pub struct UploadService {
    /// The uploads.
    pub uploads: Uploads,
    library: Arc<Library>,
    rooms: Rooms,
    /// The number of uploads whose bytes are being received.
    receiving: AtomicUsize,
}

/// An upload whose bytes are being received, until this value is dropped.
#[derive(Debug)]
pub struct Receiving<'a>(&'a AtomicUsize);

impl Receiving<'_> {
    /// The size of the receive buffer of each connection with an upload: an equal share of [`RECEIVE_BUFFERS_SIZE`].
    pub fn buffer_size(&self) -> usize {
        let count = self.0.load(Ordering::Relaxed).max(1);
        (RECEIVE_BUFFERS_SIZE / count).max(MIN_RECEIVE_BUFFER_SIZE)
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl UploadService {
    /// A service without running tasks.
    pub fn new(uploads: Uploads, library: Arc<Library>, rooms: Rooms) -> Arc<Self> {
        Arc::new(UploadService {
            uploads,
            library,
            rooms,
            receiving: AtomicUsize::new(0),
        })
    }

    /// Runs until the task is dropped: completes the uploads that were received and not completed, because the server was stopped
    /// or the disk was full, removes expired uploads, and reports progress.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.sweep_at_intervals(), self.report_progress());
    }

    /// Makes a complete upload a track, waits until the track is listed, and picks it if the upload asks for that. Continues if
    /// the returned future is dropped. Returns after [`LISTING_TIMEOUT`] although the track is not listed yet, which happens
    /// during a long first scan.
    ///
    /// # Errors
    /// [`UploadError::NotMusic`] or the file system's error.
    pub async fn complete(self: Arc<Self>, writer: Writer) -> Result<Completed, UploadError> {
        let (sender, stored) = oneshot::channel();
        let work = tokio::spawn(self.complete_in_background(writer, sender));
        let failed = |error| Err(UploadError::Io(io::Error::other(error)));
        // An error means that the work has failed.
        let Ok(stored) = stored.await else {
            return work.await.unwrap_or_else(failed);
        };
        let done = timeout(LISTING_TIMEOUT, work).await;
        done.map_or(Ok(stored), |done| done.unwrap_or_else(failed))
    }

    /// Sends the result to `stored` as soon as the file is stored.
    async fn complete_in_background(
        self: Arc<Self>,
        writer: Writer,
        stored: oneshot::Sender<Completed>,
    ) -> Result<Completed, UploadError> {
        let upload = &writer.upload;
        let store = {
            let (service, upload) = (self.clone(), upload.clone());
            move || service.uploads.store(&upload, &service.library)
        };
        let mut done = run_blocking(store).await?;
        // The receiver may have been dropped, because the client has disconnected.
        let _ = stored.send(done);
        if done.is_new {
            self.library.report_upload();
        }
        done.track_id = self.wait_until_listed(upload, done.track_id).await?;
        if upload.is_pick && !self.pick(upload, done.track_id).await {
            // The next attempt picks the track.
            return Ok(done);
        }
        // Only now, so that a restarted server picks the track.
        let (service, upload) = (self.clone(), upload.clone());
        run_blocking(move || Ok(service.uploads.finish(&upload, done)?)).await?;
        Ok(done)
    }

    /// The room of the device that uploads: where it listens, or has listened. `None` if the device is not paired any more, or if
    /// its room is damaged.
    fn hub_of(&self, upload: &Unfinished) -> Option<Hub> {
        let hub = self.rooms.hub_of(upload.owner);
        hub.filter(|hub| hub.is_paired(upload.owner))
    }

    /// Waits until the index and the room of the uploader have the track, and returns its id there: another one if the library
    /// has a better copy of the same recording.
    ///
    /// # Errors
    /// [`UploadError::Ended`] if the track is removed meanwhile.
    async fn wait_until_listed(
        self: &Arc<Self>,
        upload: &Arc<Unfinished>,
        track_id: TrackId,
    ) -> Result<TrackId, UploadError> {
        loop {
            let listed = self.library.index().listed_id(track_id);
            let hub = self.hub_of(upload);
            let change = hub.as_ref().map(Hub::next_change);
            let is_in_room = |id: &TrackId| {
                hub.as_ref()
                    .is_none_or(|hub| hub.view().room.catalog.duration_sec(*id).is_some())
            };
            if let Some(id) = listed.filter(is_in_room) {
                return Ok(id);
            }
            let service = self.clone();
            let is_stored = run_blocking(move || Ok(service.uploads.has_track(track_id)?)).await?;
            if listed.is_none() && !is_stored {
                let (service, upload) = (self.clone(), upload.clone());
                run_blocking(move || Ok(service.uploads.end(&upload)?)).await?;
                return Err(UploadError::Ended);
            }
            let change = async {
                match change {
                    Some(change) => change.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = change => {}
                () = sleep(INDEX_POLL_INTERVAL) => {}
            }
        }
    }

    /// Picks a track for the uploader. Returns whether nothing is left to do: a track that is the current one or a pick already
    /// cannot be picked.
    async fn pick(&self, upload: &Unfinished, track_id: TrackId) -> bool {
        for _ in 0..MAX_PICK_ATTEMPTS {
            let Some(hub) = self.hub_of(upload) else {
                // The device is no longer paired, or its room is damaged.
                return !self.rooms.hubs().is_empty();
            };
            let command = Command::Control {
                member: upload.owner,
                if_match: hub.view().room.durable.event_count,
                control: Control::Pick {
                    track_ids: vec![track_id],
                },
            };
            match hub.submit(command).await {
                Err(HubError::Rejected {
                    rejection: Rejection::Stale { .. },
                    ..
                }) => {}
                Err(HubError::NotWritten(_)) => sleep(Duration::from_secs(1)).await,
                Err(HubError::Closing) => return false,
                _ => return true,
            }
        }
        false
    }

    /// Removes the files of the track. Waits until the index and the rooms lack the track, for at most [`REMOVAL_TIMEOUT`].
    ///
    /// # Errors
    /// [`UploadError::Unknown`] if there are none, or the file system's error.
    pub async fn remove_track(self: &Arc<Self>, track_id: TrackId) -> Result<(), UploadError> {
        let service = self.clone();
        let is_removed = run_blocking(move || Ok(service.uploads.remove_track(track_id)?)).await?;
        if !is_removed {
            return Err(UploadError::Unknown);
        }
        self.library.report_upload();
        // On a timeout, the track is removed later.
        let _ = timeout(REMOVAL_TIMEOUT, self.wait_until_removed(track_id)).await;
        Ok(())
    }

    async fn wait_until_removed(&self, track_id: TrackId) {
        loop {
            let change = self.rooms.next_change();
            let has_track = |hub: &Hub| hub.view().room.catalog.duration_sec(track_id).is_some();
            let is_listed = self.library.index().track(track_id).is_some();
            if !is_listed && !self.rooms.hubs().iter().any(has_track) {
                return;
            }
            tokio::select! {
                () = change => {}
                () = sleep(INDEX_POLL_INTERVAL) => {}
            }
        }
    }

    /// Gives the upload of `member` that has become the track a title; an empty one removes the title. Waits until the index has
    /// the title, for at most [`LISTING_TIMEOUT`].
    ///
    /// # Errors
    /// [`UploadError::HasTitleTag`], or those of [`Uploads::set_title`].
    pub async fn set_title(
        self: &Arc<Self>,
        track_id: TrackId,
        member: MemberId,
        title: &str,
    ) -> Result<(), UploadError> {
        let upload = |index: &Index| {
            let mut uploads = index.uploads();
            uploads.find(|track| track.track_id == track_id).cloned()
        };
        let indexed = upload(&self.library.index());
        if indexed.is_some_and(|track| track.has_title_tag) {
            return Err(UploadError::HasTitleTag);
        }
        let title = clean_title(title);
        let service = self.clone();
        let write = move || {
            service
                .uploads
                .set_title(track_id, member, title.as_deref())
        };
        run_blocking(write).await?;
        self.library.report_upload();
        let deadline = Instant::now() + LISTING_TIMEOUT;
        while Instant::now() < deadline {
            let track = upload(&self.library.index());
            let is_shown = || Ok(track.is_none_or(|track| track.has_current_title()));
            if run_blocking(is_shown).await? {
                break;
            }
            sleep(INDEX_POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// The uploads that are files of the library.
    ///
    /// # Errors
    /// The file system's error.
    pub async fn stored(self: &Arc<Self>) -> Result<Vec<StoredUpload>, UploadError> {
        let service = self.clone();
        run_blocking(move || Ok(service.uploads.stored()?)).await
    }

    /// Records that the bytes of an upload are being received.
    pub fn begin_receiving(&self) -> Receiving<'_> {
        self.receiving.fetch_add(1, Ordering::Relaxed);
        Receiving(&self.receiving)
    }

    /// Resolves once no barrier waits for a download, or after `limit`: an upload shares the radio channel with the downloads
    /// for which a whole room waits.
    pub async fn yield_to_barriers(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        for hub in self.rooms.hubs() {
            loop {
                let change = hub.next_change();
                if !awaits_download(&hub) || Instant::now() >= deadline {
                    break;
                }
                tokio::select! {
                    () = change => {}
                    () = sleep_until(deadline) => {}
                }
            }
        }
    }

    async fn sweep_at_intervals(self: &Arc<Self>) {
        let keep = self.uploads.settings().keep;
        let interval = keep.map_or(MAX_SWEEP_INTERVAL, |keep| {
            (keep / 4).clamp(MIN_SWEEP_INTERVAL, MAX_SWEEP_INTERVAL)
        });
        loop {
            self.complete_received();
            // As long as a room is damaged or not loaded, it is unknown which tracks it needs.
            if !self.rooms.are_known() {
                self.record_uses_for(interval).await;
                continue;
            }
            let service = self.clone();
            let in_use = self.tracks_in_use();
            let sweep = move || Ok(service.uploads.sweep(&in_use, SystemTime::now())?);
            match run_blocking(sweep).await {
                Ok(true) => self.library.report_upload(),
                Ok(false) => {}
                Err(error) => tracing::warn!("cannot remove expired uploads: {error}"),
            }
            self.record_uses_for(interval).await;
        }
    }

    /// Completes the uploads that were received whole, unless a request or a task already does.
    fn complete_received(self: &Arc<Self>) {
        if !self.uploads.settings().is_enabled {
            return;
        }
        for upload in self.uploads.unfinished() {
            if upload.is_complete() && upload.done().is_none() && upload.is_idle() {
                let service = self.clone();
                tokio::spawn(async move {
                    if let Some(writer) = upload.lock().await {
                        log_failure(service.complete(writer).await);
                    }
                });
            }
        }
    }

    /// Records the use of uploads whenever they become current or are picked, for `duration`: that may end before the next sweep.
    async fn record_uses_for(self: &Arc<Self>, duration: Duration) {
        let deadline = Instant::now() + duration;
        let mut recorded = Vec::new();
        loop {
            let change = self.rooms.next_change();
            let index = self.library.index();
            let mut used = self.tracks_in_use();
            used.retain(|id| {
                index
                    .track(*id)
                    .is_some_and(|track| track.uploaded_by.is_some())
            });
            if used != recorded && !used.is_empty() {
                let (service, tracks) = (self.clone(), used.clone());
                let record = move || Ok(service.uploads.record_use(&tracks)?);
                if let Err(error) = run_blocking(record).await {
                    tracing::warn!("cannot record that an upload is used: {error}");
                }
            }
            recorded = used;
            tokio::select! {
                () = change => {}
                () = sleep_until(deadline) => return,
            }
        }
    }

    /// The tracks that are current, next-up, picked, or being fetched in any room.
    fn tracks_in_use(&self) -> Vec<TrackId> {
        let mut tracks = Vec::new();
        for hub in self.rooms.hubs() {
            let view = hub.view();
            tracks.extend(view.room.current_track_id());
            tracks.extend(view.room.next_up_id());
            tracks.extend(view.room.durable.picks.iter().map(|pick| pick.track_id));
            tracks.extend(view.downloading_tracks());
        }
        tracks
    }

    /// Tells the rooms which uploads are under way, whenever that changes.
    async fn report_progress(&self) {
        let mut change = self.uploads.next_change();
        // Those of the previous run of the server.
        let mut is_first_report_due = !self.uploads.under_way().is_empty();
        loop {
            if !std::mem::take(&mut is_first_report_due) {
                change.await;
            }
            change = self.uploads.next_change();
            let under_way: Arc<[_]> = self.uploads.under_way().into();
            for hub in self.rooms.hubs() {
                hub.report_uploads(under_way.clone());
            }
            sleep(PROGRESS_INTERVAL).await;
        }
    }
}

/// Whether a barrier of the room waits for a device. A barrier in a room without listeners has no members.
fn awaits_download(hub: &Hub) -> bool {
    let barrier = &hub.view().room.durable.barrier;
    let barrier = barrier.as_ref();
    barrier.is_some_and(|barrier| barrier.ready.len() < barrier.members.len())
}

fn log_failure(completed: Result<Completed, UploadError>) {
    if let Err(error) = completed {
        tracing::warn!("an upload that was received whole cannot become a track: {error}");
    }
}

/// Runs `work`, which accesses files.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, UploadError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(UploadError::Io(io::Error::other(error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_share_the_receive_buffers() {
        let receiving = AtomicUsize::new(0);
        let begin = || {
            receiving.fetch_add(1, Ordering::Relaxed);
            Receiving(&receiving)
        };
        let first = begin();
        assert_eq!(first.buffer_size(), RECEIVE_BUFFERS_SIZE);
        let others = [begin(), begin()];
        assert_eq!(first.buffer_size(), RECEIVE_BUFFERS_SIZE / 3);
        drop(others);
        assert_eq!(first.buffer_size(), RECEIVE_BUFFERS_SIZE);
        let _many: Vec<_> = (0..1_000).map(|_| begin()).collect();
        assert_eq!(first.buffer_size(), MIN_RECEIVE_BUFFER_SIZE);
    }
}
