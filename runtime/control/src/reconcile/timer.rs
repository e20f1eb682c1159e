//! A precise sleep.
//!
//! Timers of the runtime count whole milliseconds and round up twice, so a wake-up is late by one
//! millisecond on average and by two at most. If the kernel offers timers as file descriptors, a
//! sleep ends within tens of microseconds of its date.

use std::time::Duration;

/// A reusable timer.
#[derive(Debug)]
pub(crate) struct Timer {
    /// `None` if the system has no such timer, or no free file descriptor.
    #[cfg(target_os = "linux")]
    timer: Option<tokio::net::unix::pipe::Receiver>,
}

impl Timer {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            timer: kernel::timer().ok(),
        }
    }

    /// Sleeps for `span` and never less. Dropping the future does not affect later sleeps.
    pub(crate) async fn sleep(&mut self, span: Duration) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer
            && kernel::sleep(timer, span).await.is_ok()
        {
            return;
        }
        tokio::time::sleep(span).await;
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    /// Creates a timer that is read like a pipe: eight bytes, once it has expired. `AsyncFd` cannot
    /// be created without unsafe code.
    pub(crate) fn timer() -> io::Result<Receiver> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Receiver::from_owned_fd_unchecked(timer)
    }

    pub(crate) async fn sleep(timer: &Receiver, span: Duration) -> io::Result<()> {
        if span.is_zero() {
            return Ok(());
        }
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = Timespec::try_from(span).map_err(io::Error::other)?;
        // Setting the timer clears an unread expiry.
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: never, it_value })?;
        loop {
            timer.readable().await?;
            match timer.try_read(&mut [0; 8]) {
                // Stale expiry from an earlier sleep.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::clock::Stopwatch;

    use super::*;

    #[tokio::test]
    async fn sleeps_are_never_shorter_than_requested() {
        let mut timer = Timer::new();
        for micros in [0, 1, 999, 1_500, 20_000] {
            let span = Duration::from_micros(micros);
            let watch = Stopwatch::start();
            timer.sleep(span).await;
            assert!(watch.elapsed() >= span, "{span:?}");
        }
    }

    #[tokio::test]
    async fn a_dropped_sleep_does_not_end_the_next() {
        let mut timer = Timer::new();
        for _ in 0..20 {
            // Drop the sleep after it has expired and before it is read.
            tokio::select! {
                biased;
                () = timer.sleep(Duration::from_millis(1)) => {}
                () = async { std::thread::sleep(Duration::from_millis(2)) } => {}
            }
            let (span, watch) = (Duration::from_millis(5), Stopwatch::start());
            timer.sleep(span).await;
            assert!(watch.elapsed() >= span);
        }
    }
}
