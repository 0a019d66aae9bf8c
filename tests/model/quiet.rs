//! Panics that are expected, many of them, while a failure is shrunk: caught without a word.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// What the last panic said, while this thread catches them.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What `work` gives, or what it said, and where, when it panicked.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    // The hook is the whole process's: tests on other threads go on being heard.
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let quiet = CAUGHT.with_borrow_mut(|caught| {
                if let Some(said) = caught {
                    *said = info.to_string();
                }
                caught.is_some()
            });
            if !quiet {
                loud(info);
            }
        }));
    });
    CAUGHT.set(Some(String::new()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    let said = CAUGHT.take().unwrap_or_default();
    outcome.map_err(|_| said)
}
