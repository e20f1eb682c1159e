//! Measures the active time of a guest: the time that its thread spends on guest code and host
//! calls. Waits for a slot, a server or the disk do not count.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tidemill_core::clock::Stopwatch;

use crate::threads::ticker::Ticker;

/// State shared by a guest's future and the epoch callback.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Microseconds spent in all finished polls.
    past: AtomicU64,
    /// Set if the call is to move to the slow threads.
    slow: AtomicBool,
}

impl Meter {
    /// Returns the time spent in all finished polls.
    pub fn past(&self) -> Duration {
        Duration::from_micros(self.past.load(Relaxed))
    }

    /// Requests the move of the call to the slow threads.
    pub fn request_slow(&self) {
        self.slow.store(true, Relaxed);
    }
}

/// The result of polling a [`MeteredFuture`].
pub(crate) enum YieldReason<F: Future> {
    /// The future is complete.
    Done(F::Output),
    /// The future exceeded its share of the quick threads and continues on the slow threads.
    Slow(Pin<Box<F>>),
}

/// A guest's future, measured at each poll. It leaves the quick threads on request.
pub(crate) struct MeteredFuture<F> {
    future: Option<Pin<Box<F>>>,
    meter: Arc<Meter>,
    ticker: Arc<Ticker>,
    stays: bool,
}

impl<F: Future> MeteredFuture<F> {
    /// Measures `future`. If it `stays`, it is never moved to the slow threads.
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
