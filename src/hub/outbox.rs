//! The way out of one event stream. A message goes straight into the stream's socket, and waits here only while that takes
//! no more: so telling everybody is one system call for each, with no task woken. What sockets and answers are lives in `http`.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};

use crate::wire::Message;

/// Messages that may wait for a stream before it is cut off.
const BEHIND: usize = 1024;

/// Where a stream's bytes go.
pub trait Outlet: fmt::Debug + Send + Sync {
    /// Writes what is taken at once.
    ///
    /// # Errors
    /// `WouldBlock` when that is nothing. The system reports any other only once: whoever implements this takes note of it,
    /// because the task that drives the connection may see no more than its end.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// How far the answer that carries the stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its head is not on its way.
    Begun,
    /// Its head is about to be written.
    Headed,
    /// Its head is written: what follows are messages.
    Open,
}

/// How it is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// As soon as what waits is written.
    End,
    /// At once, wherever it is.
    CutOff,
}

#[derive(Debug)]
struct Inner {
    stage: Stage,
    fate: Option<Fate>,
    waiting: VecDeque<Bytes>,
    /// Drives the connection.
    task: Option<Waker>,
}

/// The messages on their way to one stream. Whoever drives the connection calls [`Outbox::poll_end`] for the answer's body
/// and [`Outbox::poll_drain`] for the socket's flush; everything else is the herald's.
#[derive(Debug)]
pub struct Outbox {
    outlet: Box<dyn Outlet>,
    /// Whether messages go out as chunks (RFC 9112, 7.1), or as they are, to a client of HTTP/1.0.
    chunked: bool,
    inner: Mutex<Inner>,
}

impl Outbox {
    /// Nothing is written before the answer's head is.
    pub fn new(outlet: impl Outlet + 'static, chunked: bool) -> Self {
        Outbox {
            outlet: Box::new(outlet),
            chunked,
            inner: Mutex::new(Inner {
                stage: Stage::Begun,
                fate: None,
                waiting: VecDeque::new(),
                task: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message after all those before it. A stream that lies too far behind is cut off: the phone comes back and
    /// catches up.
    pub(super) fn push(&self, message: &Message) {
        let mut bytes = if self.chunked {
            message.chunk()
        } else {
            message.text()
        };
        let mut inner = self.lock();
        if inner.fate.is_some() {
            return;
        }
        let idle = inner.waiting.is_empty();
        if idle && inner.stage == Stage::Open {
            // After an error the connection ends, which the task that drives it sees as well.
            bytes.advance(self.outlet.try_write(&bytes).unwrap_or(0));
            if bytes.is_empty() {
                return;
            }
        }
        if inner.waiting.len() == BEHIND {
            inner.waiting.clear();
            inner.fate = Some(Fate::CutOff);
        } else {
            inner.waiting.push_back(bytes);
            if !idle {
                // Then the task already waits for the socket.
                return;
            }
        }
        wake(inner);
    }

    /// Waits until nobody is writing, so that what a write has learnt of the connection is known.
    pub fn settle(&self) {
        drop(self.lock());
    }

    /// The stream ends after what was pushed.
    pub(super) fn end(&self) {
        let mut inner = self.lock();
        inner.fate = inner.fate.or(Some(Fate::End));
        wake(inner);
    }

    /// Ready when the answer's body is to end. The first call says that the answer's head is about to be written.
    ///
    /// # Errors
    /// The stream was cut off, perhaps in the middle of a message.
    pub fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        if inner.stage == Stage::Begun {
            inner.stage = Stage::Headed;
        }
        match inner.fate {
            Some(Fate::CutOff) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Some(Fate::End) if inner.stage == Stage::Open && inner.waiting.is_empty() => {
                Poll::Ready(Ok(()))
            }
            _ => {
                inner.task = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Writes what waits, as far as `poll_write` takes it. Called when everything else of the connection is written.
    ///
    /// # Errors
    /// What `poll_write` said, or `WriteZero`.
    pub fn poll_drain(
        &self,
        cx: &mut Context<'_>,
        mut poll_write: impl FnMut(&mut Context<'_>, &[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        if inner.stage == Stage::Begun {
            return Poll::Ready(Ok(()));
        }
        inner.stage = Stage::Open;
        while let Some(bytes) = inner.waiting.front_mut() {
            match ready!(poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => bytes.advance(taken),
            }
            if bytes.is_empty() {
                inner.waiting.pop_front();
            }
        }
        if inner.fate.is_some() {
            wake(inner);
        }
        Poll::Ready(Ok(()))
    }
}

fn wake(mut inner: MutexGuard<'_, Inner>) {
    let task = inner.task.take();
    drop(inner);
    if let Some(task) = task {
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// Takes so many bytes, and then none until it is given more room.
    #[derive(Debug, Clone, Default)]
    struct Pipe(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Outlet for Pipe {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let (room, taken) = &mut *self.0.lock().unwrap();
            let now = bytes.len().min(*room);
            if now == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *room -= now;
            taken.extend_from_slice(&bytes[..now]);
            Ok(now)
        }
    }

    impl Pipe {
        fn give(&self, room: usize) {
            self.0.lock().unwrap().0 += room;
        }

        fn taken(&self) -> Vec<u8> {
            self.0.lock().unwrap().1.clone()
        }

        fn drain(&self, outbox: &Outbox) -> Poll<io::Result<()>> {
            outbox.poll_drain(&mut context(), |_, bytes| match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                result => Poll::Ready(result),
            })
        }
    }

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn outbox(room: usize) -> (Pipe, Outbox) {
        let pipe = Pipe::default();
        pipe.give(room);
        (pipe.clone(), Outbox::new(pipe, false))
    }

    fn message(n: usize) -> Message {
        Message::live("test", &n, 0)
    }

    #[test]
    fn nothing_is_written_before_the_head_of_the_answer() {
        let (pipe, outbox) = outbox(1000);
        outbox.push(&message(1));
        assert!(pipe.drain(&outbox).is_ready());
        assert!(pipe.taken().is_empty());
        assert!(outbox.poll_end(&mut context()).is_pending());
        outbox.push(&message(2));
        assert!(pipe.taken().is_empty());
        assert!(pipe.drain(&outbox).is_ready());
        let both = [message(1).text(), message(2).text()].concat();
        assert_eq!(pipe.taken(), both);
        outbox.push(&message(3));
        assert_eq!(pipe.taken(), [both, message(3).text().into()].concat());
    }

    #[test]
    fn the_stream_ends_after_what_was_pushed_and_takes_nothing_more() {
        let (pipe, outbox) = outbox(0);
        outbox.push(&message(1));
        outbox.end();
        outbox.push(&message(2));
        assert!(outbox.poll_end(&mut context()).is_pending());
        assert!(pipe.drain(&outbox).is_pending());
        assert!(outbox.poll_end(&mut context()).is_pending());
        pipe.give(1000);
        assert!(pipe.drain(&outbox).is_ready());
        assert!(matches!(
            outbox.poll_end(&mut context()),
            Poll::Ready(Ok(()))
        ));
        assert_eq!(pipe.taken(), message(1).text());
    }

    #[test]
    fn a_stream_that_takes_nothing_is_cut_off_and_holds_nothing_any_more() {
        let (_, outbox) = outbox(0);
        for n in 0..=BEHIND {
            assert!(outbox.poll_end(&mut context()).is_pending());
            outbox.push(&message(n));
        }
        assert!(matches!(
            outbox.poll_end(&mut context()),
            Poll::Ready(Err(_))
        ));
        assert!(outbox.lock().waiting.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_the_socket_takes_at_once_the_messages_arrive_whole_and_in_order(
            steps in prop::collection::vec(prop::option::weighted(0.4, 1..40_usize), 1..200)
        ) {
            let (pipe, outbox) = outbox(0);
            prop_assert!(outbox.poll_end(&mut context()).is_pending());
            let mut said = Vec::new();
            for (n, step) in steps.into_iter().enumerate() {
                if let Some(room) = step {
                    pipe.give(room);
                    let _ = pipe.drain(&outbox);
                } else {
                    outbox.push(&message(n));
                    said.extend_from_slice(&message(n).text());
                }
            }
            pipe.give(100_000);
            prop_assert!(pipe.drain(&outbox).is_ready());
            prop_assert_eq!(pipe.taken(), said);
        }
    }
}
