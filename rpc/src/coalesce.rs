//! A connection that lets others run once before it writes.
//!
//! A commit releases many answers at once. Each wakes the task of its call, and each call that is done wakes its
//! connection, which would write at once: a system call for every answer, and a wake-up of the client for each. A
//! connection that yields before it writes finds the answers of all calls that were ready, and writes them together. An
//! idle server loses nothing by it: with nothing else to run, the connection goes on at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// See the module.
#[derive(Debug)]
pub(crate) struct Coalescing<S> {
    inner: S,
    yielded: bool,
}

impl<S: Unpin> Coalescing<S> {
    pub(crate) fn new(inner: S) -> Coalescing<S> {
        Coalescing {
            inner,
            yielded: false,
        }
    }

    /// The stream below, on every second call; in between, all other tasks that are ready have their turn.
    fn after_others(&mut self, context: &Context<'_>) -> Poll<Pin<&mut S>> {
        self.yielded = !self.yielded;
        if self.yielded {
            context.waker().wake_by_ref();
            Poll::Pending
        } else {
            Poll::Ready(Pin::new(&mut self.inner))
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalescing<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalescing<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut().after_others(context) {
            Poll::Ready(inner) => inner.poll_write(context, bytes),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut().after_others(context) {
            Poll::Ready(inner) => inner.poll_write_vectored(context, slices),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

impl<S: Connected> Connected for Coalescing<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.inner.connect_info()
    }
}
