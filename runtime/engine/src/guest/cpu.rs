//! How long a guest has been active: the time that its thread spends with it, guest code and host calls, and not
//! the time that it waits for a turn, a server or the disk.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tidemill_core::clock::Stopwatch;

use crate::threads::ticker::Ticker;

/// What a guest's future and the epoch's callback share.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Microseconds of all polls but the present one.
    past: AtomicU64,
    /// Set where the call is to move to the slow threads.
    slow: AtomicBool,
}

impl Meter {
    /// Time of all polls that are over.
    pub fn past(&self) -> Duration {
        Duration::from_micros(self.past.load(Relaxed))
    }

    /// Asks for the call to be moved to the slow threads.
    pub fn ask_for_slow(&self) {
        self.slow.store(true, Relaxed);
    }
}

/// What polling a [`MeteredFuture`] comes to.
pub(crate) enum YieldReason<F: Future> {
    /// It is done.
    Done(F::Output),
    /// It has had its turns among the quick; goes on among the slow.
    Slow(Pin<Box<F>>),
}

/// A guest's future, measured at each poll; leaves the quick threads when asked.
pub(crate) struct MeteredFuture<F> {
    future: Option<Pin<Box<F>>>,
    meter: Arc<Meter>,
    ticker: Arc<Ticker>,
    stays: bool,
}

impl<F: Future> MeteredFuture<F> {
    /// Measures `future`; where it `stays`, it ends here.
    pub const fn new(future: Pin<Box<F>>, meter: Arc<Meter>, ticker: Arc<Ticker>, stays: bool) -> Self {
        Self { future: Some(future), meter, ticker, stays }
    }
}

impl<F: Future> Future for MeteredFuture<F> {
    type Output = YieldReason<F>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<YieldReason<F>> {
        let this = self.get_mut();
        let Some(future) = this.future.as_mut() else { return Poll::Pending };
        let polled = {
            let _guest = this.ticker.guest();
            let watch = Stopwatch::start();
            let polled = future.as_mut().poll(context);
            let micros = u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX);
            this.meter.past.fetch_add(micros, Relaxed);
            polled
        };
        match polled {
            Poll::Ready(output) => Poll::Ready(YieldReason::Done(output)),
            Poll::Pending if !this.stays && this.meter.slow.load(Relaxed) => match this.future.take() {
                Some(future) => Poll::Ready(YieldReason::Slow(future)),
                None => Poll::Pending,
            },
            Poll::Pending => Poll::Pending,
        }
    }
}
