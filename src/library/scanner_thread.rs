//! The thread that runs the scanner, and restarts it after a panic.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::LibraryOptions;
use super::publisher::Publisher;
use super::scan_requests::ScanRequests;
use super::scanner::Scanner;

/// The back-off before the first restart. It doubles with each further panic, up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_secs(1);
/// The longest back-off.
const MAX_BACKOFF: Duration = Duration::from_secs(5 * 60);
/// A panic after at least this time without a panic restarts the scanner after [`MIN_BACKOFF`] again.
const BACKOFF_RESET_TIME: Duration = Duration::from_secs(10 * 60);

/// Runs `scanner` on a thread of its own until `requests` is closed.
///
/// # Errors
/// The system's error if it cannot create a thread.
pub(super) fn spawn(
    mut scanner: Scanner,
    requests: Arc<ScanRequests>,
    publisher: Publisher,
    options: LibraryOptions,
) -> io::Result<()> {
    let run = move || {
        run_with_restarts(&requests, |is_restart| {
            if is_restart {
                scanner.recover_from_panic();
            }
            scanner.run(&requests, &publisher, &options);
        });
    };
    thread::Builder::new().name("library".into()).spawn(run)?;
    Ok(())
}

/// Calls `run` until the call returns without a panic, and waits for the back-off after each panic. The argument of `run` is
/// whether the call is a restart. During the back-off, `requests` refuses rescans. Closing `requests` ends the back-off.
fn run_with_restarts(requests: &ScanRequests, mut run: impl FnMut(bool)) {
    let mut backoff = MIN_BACKOFF;
    let mut is_restart = false;
    loop {
        let began = Instant::now();
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(is_restart))) else {
            return;
        };
        requests.mark_scanner_down();
        if began.elapsed() >= BACKOFF_RESET_TIME {
            backoff = MIN_BACKOFF;
        }
        tracing::error!(
            "the library scanner panicked ({}); the library stays unchanged, and the scanner restarts in {} s",
            panic_message(&*panic),
            backoff.as_secs()
        );
        if requests.wait_for_close(backoff) {
            return;
        }
        backoff = (backoff * 2).min(MAX_BACKOFF);
        is_restart = true;
        requests.mark_scanner_restarted();
    }
}

/// The text that was passed to `panic!`.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::{Library, LibraryEvent};
    use super::*;
    use crate::metrics::Metrics;

    fn wait_until(condition: impl Fn() -> bool) {
        while !condition() {
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn restarts_a_panicked_scanner_and_refuses_rescans_before_the_restart() {
        let folder = tempfile::tempdir().unwrap();
        let audio = folder.path().join("audio");
        fs::create_dir(&audio).unwrap();
        let scanner = Scanner::open(
            std::slice::from_ref(&audio),
            &folder.path().join("state.json"),
            false,
            &[],
            Arc::new(Metrics::default()),
        )
        .unwrap();
        let must_panic = Arc::new(AtomicBool::new(true));
        let options = LibraryOptions {
            current_tracks: Box::new({
                let must_panic = must_panic.clone();
                move || {
                    assert!(!must_panic.load(Ordering::Relaxed), "injected panic");
                    Vec::new()
                }
            }),
            publish_partial_indexes: false,
        };
        let (library, mut events) = Library::start(scanner, options).unwrap();
        wait_until(|| library.rescan().is_err());

        must_panic.store(false, Ordering::Relaxed);
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fixture.ogg");
        fs::copy(fixture, audio.join("added.ogg")).unwrap();
        wait_until(|| library.rescan().is_ok());
        loop {
            let event = events.blocking_recv().expect("the scanner ended");
            if matches!(event, LibraryEvent::IndexPublished(index) if index.len() == 1) {
                break;
            }
        }
        assert_eq!(library.index().len(), 1);
    }

    #[test]
    fn back_off_grows_with_each_panic() {
        let requests = ScanRequests::default();
        let mut runs = Vec::new();
        let began = Instant::now();
        run_with_restarts(&requests, |is_restart| {
            runs.push(is_restart);
            assert!(runs.len() == 3, "injected panic");
        });
        assert_eq!(runs, [false, true, true]);
        let (first, second) = (MIN_BACKOFF, 2 * MIN_BACKOFF);
        assert!(began.elapsed() >= first + second);
    }

    #[test]
    fn back_off_ends_when_the_requests_are_closed() {
        let requests = ScanRequests::default();
        requests.close();
        run_with_restarts(&requests, |_| panic!("injected panic"));
    }
}
