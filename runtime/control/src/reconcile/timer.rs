//! A sleep that ends when it should.
//!
//! The runtime's own timers count whole milliseconds and round up, twice: what they wake is late by one on average and by up to two.
//! Where the kernel has timers to be waited for as files, what is due by date is looked at within some tens of microseconds.

use std::time::Duration;

/// Something to sleep on, over and over.
#[derive(Debug)]
pub(crate) struct Timer {
    /// None where the system has no such timer, or no room for one more.
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

    /// Sleeps so long, and not less. A sleep that is dropped leaves nothing behind.
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

    /// A timer is read like a pipe: eight bytes, as soon as it has gone off.
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
        // Setting it anew forgets that it has gone off before.
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: never, it_value })?;
        loop {
            timer.readable().await?;
            match timer.try_read(&mut [0; 8]) {
                // It was about a sleep before this one.
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
    async fn a_sleep_is_never_shorter_than_asked_for() {
        let mut alarm = Timer::new();
        for micros in [0, 1, 999, 1_500, 20_000] {
            let span = Duration::from_micros(micros);
            let watch = Stopwatch::start();
            alarm.sleep(span).await;
            assert!(watch.elapsed() >= span, "{span:?}");
        }
    }

    #[tokio::test]
    async fn one_that_was_dropped_does_not_end_the_next() {
        let mut alarm = Timer::new();
        for _ in 0..20 {
            // Dropped when it has just gone off, and has not been read.
            tokio::select! {
                biased;
                () = alarm.sleep(Duration::from_millis(1)) => {}
                () = async { std::thread::sleep(Duration::from_millis(2)) } => {}
            }
            let (span, watch) = (Duration::from_millis(5), Stopwatch::start());
            alarm.sleep(span).await;
            assert!(watch.elapsed() >= span);
        }
    }
}
