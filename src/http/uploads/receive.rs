//! Writes the body of a request to the file of an upload, piece by piece.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::gate::PairedDevice;
use super::tus::Checksum;
use crate::upload_service::run_blocking;
use crate::uploads::{UploadError, Writer};

/// The longest wait for the next bytes. A phone whose screen is locked may pause; it can resume the upload later.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest wait for a barrier, before each piece.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of bytes between two checks of the free disk.
const BYTES_PER_DISK_CHECK: u64 = 1 << 20;

/// Appends the body to the file. After an error, the upload keeps the bytes that have arrived, unless they have a checksum,
/// which can be compared only when all have arrived.
///
/// # Errors
/// 413 if the body is longer than the rest of the file, 460 for another checksum, 507 if the disk is full, 401 once the device is
/// no longer paired, 408 if no bytes arrive, 410 if the upload ends meanwhile, 423 if another request continues the upload.
pub(super) async fn append(
    call: &mut Call<'_>,
    paired: &PairedDevice<'_>,
    writer: &mut Writer,
    checksum: Option<Checksum>,
) -> Result<(), ApiError> {
    let upload = writer.upload.clone();
    let service = call.app.uploads.clone();
    let file = run_blocking({
        let (service, upload) = (service.clone(), upload.clone());
        move || Ok(service.uploads.open_file(&upload)?)
    });
    let file = Arc::new(file.await?);
    let mut hash = checksum.as_ref().map(ChecksumHasher::new);
    let mut at = upload.received();
    if hash.is_some() {
        record_verified(call, writer, Some(at)).await?;
    }
    let receiving = service.begin_receiving();
    let mut unchecked = BYTES_PER_DISK_CHECK;
    let result = loop {
        call.connection.set_receive_buffer(receiving.buffer_size());
        let next = async {
            service.yield_to_barriers(BARRIER_TIMEOUT).await;
            tokio::time::timeout(IDLE_TIMEOUT, call.body.next_piece()).await
        };
        let piece = tokio::select! {
            biased;
            () = writer.interrupted() => {
                let found = service.uploads.find(upload.id, upload.owner);
                break Err(found.map_or_else(ApiError::from, |_| ApiError::UploadLocked));
            }
            piece = next => piece,
        };
        let piece = match piece {
            Ok(Some(Ok(piece))) => piece,
            Ok(None) => break Ok(()),
            Ok(Some(Err(error))) => break Err(error),
            Err(_) => break Err(ApiError::BodyTimeout),
        };
        let length = piece.len() as u64;
        if length > upload.size - at {
            break Err(ApiError::UploadTooLong);
        }
        if !paired.hub.is_paired(paired.member) {
            break Err(ApiError::Unauthorized);
        }
        unchecked += length;
        let must_check_disk = unchecked > BYTES_PER_DISK_CHECK;
        if must_check_disk {
            unchecked = 0;
        }
        if let Some(hash) = &mut hash {
            hash.update(&piece);
        }
        let written = run_blocking({
            let (service, file) = (service.clone(), file.clone());
            move || {
                if must_check_disk && !service.uploads.has_free_disk()? {
                    return Err(UploadError::NoRoom);
                }
                write(&file, &piece, at)
            }
        });
        if let Err(error) = written.await {
            break Err(error.into());
        }
        at += length;
        call.app.metrics.uploaded_bytes.add(length);
        if hash.is_none() {
            writer.record(at);
            service.uploads.report_progress();
        }
    };
    let is_valid = match (&result, hash) {
        (_, None) => true,
        (Ok(()), Some(hash)) => hash.matches(),
        (Err(_), Some(_)) => false,
    };
    let kept = if is_valid { at } else { upload.received() };
    let has_checksum = checksum.is_some();
    run_blocking(move || Ok(finish_file(&file, kept)?)).await?;
    if has_checksum {
        record_verified(call, writer, None).await?;
    }
    writer.record(kept);
    service.uploads.report_progress();
    match result {
        Ok(()) if !is_valid => Err(ApiError::ChecksumMismatch),
        result => result,
    }
}

async fn record_verified(
    call: &Call<'_>,
    writer: &Writer,
    verified: Option<u64>,
) -> Result<(), UploadError> {
    let (service, upload) = (call.app.uploads.clone(), writer.upload.clone());
    run_blocking(move || Ok(service.uploads.record_verified(&upload, verified)?)).await
}

fn write(file: &File, piece: &Bytes, at: u64) -> Result<(), UploadError> {
    Ok(file.write_all_at(piece, at)?)
}

/// Cuts the file to the bytes that are kept, and flushes it to the disk.
fn finish_file(file: &File, length: u64) -> io::Result<()> {
    file.set_len(length)?;
    file.sync_all()
}

/// Computes the checksum of a body.
enum ChecksumHasher {
    Sha1(Sha1, Vec<u8>),
    Sha256(Sha256, Vec<u8>),
}

impl ChecksumHasher {
    fn new(expected: &Checksum) -> Self {
        match expected {
            Checksum::Sha1(value) => ChecksumHasher::Sha1(Sha1::new(), value.clone()),
            Checksum::Sha256(value) => ChecksumHasher::Sha256(Sha256::new(), value.clone()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            ChecksumHasher::Sha1(hash, _) => hash.update(bytes),
            ChecksumHasher::Sha256(hash, _) => hash.update(bytes),
        }
    }

    fn matches(self) -> bool {
        match self {
            ChecksumHasher::Sha1(hash, expected) => hash.finalize()[..] == expected[..],
            ChecksumHasher::Sha256(hash, expected) => hash.finalize()[..] == expected[..],
        }
    }
}
