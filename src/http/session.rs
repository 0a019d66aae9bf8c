//! A TLS session over a connection's socket. It is driven by hand, because an event stream's messages go into the socket from
//! wherever they are sent, and not only from the task that drives the connection: no stream type of a TLS library allows that.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use hyper::rt::ReadBufCursor;
use rustls::ServerConnection;
use tokio::net::TcpStream;

/// Taken at once, in bytes: a record (RFC 8446, 5.1). More is not taken before the system has all of that, so what was taken
/// is never much more than what is under way.
const RECORD: usize = 16 << 10;

/// The first byte of every TLS connection: a record that carries a handshake (RFC 8446, 5.1). No request begins with it.
pub(super) const HANDSHAKE: u8 = 22;

#[derive(Debug)]
struct Inner {
    tls: ServerConnection,
    /// Drives the connection.
    task: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct Session(Mutex<Inner>);

/// The socket as rustls wants it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Inner {
    /// `WouldBlock` when the system does not take all of it.
    fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut Wire(stream))?;
        }
        Ok(())
    }

    /// Puts what has arrived into `buffer`; nothing when the other end has closed. `WouldBlock` when nothing has arrived.
    fn read(&mut self, stream: &TcpStream, buffer: &mut ReadBufCursor<'_>) -> io::Result<()> {
        loop {
            let mut reader = self.tls.reader();
            match reader.fill_buf() {
                Ok(arrived) => {
                    let taken = arrived.len().min(buffer.remaining());
                    buffer.put_slice(&arrived[..taken]);
                    reader.consume(taken);
                    return Ok(());
                }
                // A request says itself how long it is, so one that was cut short is known without a goodbye.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) => {}
            }
            self.tls.read_tls(&mut Wire(stream))?;
            let processed = self.tls.process_new_packets();
            // The handshake's answer, or what is wrong; what is not taken now waits for the next flush.
            match self.flush(stream) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl Session {
    pub(super) fn new(mut tls: ServerConnection) -> Self {
        tls.set_buffer_limit(Some(RECORD));
        Session(Mutex::new(Inner { tls, task: None }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what fits into a record. Some of it may still have to be flushed after that.
    pub(super) fn try_write(
        &self,
        stream: &TcpStream,
        pieces: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let mut inner = self.lock();
        inner.flush(stream)?;
        let taken = inner.tls.writer().write_vectored(pieces)?;
        match inner.flush(stream) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Has the task that drives the connection flush what another has written, if it must be.
    pub(super) fn hurry(&self) {
        let inner = self.lock();
        if inner.tls.wants_write() {
            inner.task.as_ref().inspect(|task| task.wake_by_ref());
        }
    }

    pub(super) fn poll_flush(
        &self,
        stream: &TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut inner = self.lock();
            inner.task = Some(cx.waker().clone());
            match inner.flush(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            drop(inner);
            ready!(stream.poll_write_ready(cx))?;
        }
    }

    pub(super) fn poll_read(
        &self,
        stream: &TcpStream,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.lock().read(stream, &mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            ready!(stream.poll_read_ready(cx))?;
        }
    }

    /// Says goodbye, so that the other end knows that nothing was cut off (RFC 8446, 6.1).
    pub(super) fn poll_close(
        &self,
        stream: &TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.lock().tls.send_close_notify();
        self.poll_flush(stream, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use hyper::rt::ReadBuf;
    use rustls::crypto::ring;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpSocket};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A session whose handshake is done, its socket, and the other end, which takes little at a time.
    async fn connected() -> (Arc<Session>, Arc<TcpStream>, TlsStream<TcpStream>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket
            .connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let tls = rustls::ServerConnection::new(Arc::new(server)).unwrap();
        let (session, accepted) = (Arc::new(Session::new(tls)), Arc::new(accepted));
        let reading = tokio::spawn({
            let (session, accepted) = (session.clone(), accepted.clone());
            async move {
                let mut byte = [0];
                let mut into = ReadBuf::new(&mut byte);
                poll_fn(|cx| session.poll_read(&accepted, cx, into.unfilled())).await
            }
        });
        let connector = TlsConnector::from(Arc::new(client));
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"!")
            .await
            .unwrap();
        reading.await.unwrap().unwrap();
        (session, accepted, stream)
    }

    #[tokio::test]
    async fn what_the_system_did_not_take_is_flushed_by_the_task_that_drives_the_connection() {
        let (session, accepted, mut other) = connected().await;
        let counted = Arc::new(Counted::default());
        let woken = || counted.0.load(Ordering::Relaxed);
        let waker = Waker::from(counted.clone());
        let flushed = session.poll_flush(&accepted, &mut Context::from_waker(&waker));
        assert!(flushed.is_ready());
        session.hurry();
        assert_eq!(woken(), 0, "nothing waits");

        let bytes = [7; 50_000];
        let mut taken = 0;
        let full = loop {
            match session.try_write(&accepted, &[IoSlice::new(&bytes)]) {
                Ok(now) => {
                    assert!((1..=RECORD).contains(&now), "{now}");
                    taken += now;
                }
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        session.hurry();
        assert_eq!(woken(), 1);

        let reading = tokio::spawn(async move {
            let mut came = vec![0; taken];
            other.read_exact(&mut came).await.unwrap();
            came
        });
        poll_fn(|cx| session.poll_flush(&accepted, cx))
            .await
            .unwrap();
        let came = reading.await.unwrap();
        assert!(came.iter().all(|byte| *byte == 7));
    }

    #[tokio::test]
    async fn a_goodbye_is_an_end_and_no_error() {
        let (session, accepted, mut other) = connected().await;
        poll_fn(|cx| session.poll_close(&accepted, cx))
            .await
            .unwrap();
        drop(accepted);
        let mut rest = Vec::new();
        other.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    }
}
