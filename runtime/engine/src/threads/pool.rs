//! The threads that guests run on: quick threads, and slow threads of low priority for long calls.
//! The host's own work (API, store, timers, outgoing requests) runs elsewhere, so a spinning guest
//! does not delay it.

use tokio::runtime::{Builder, Handle, Runtime};

use crate::threads::sched;

/// Nice value of the slow threads.
const SLOW_NICE: i32 = 10;

/// The two runtimes.
#[derive(Debug)]
pub(crate) struct ThreadPools {
    quick: Option<Runtime>,
    slow: Option<Runtime>,
}

impl ThreadPools {
    /// Starts `each` threads of both kinds.
    ///
    /// # Errors
    /// If the machine cannot start the threads.
    pub fn start(each: usize) -> std::io::Result<Self> {
        // A task that yields goes to the end of its worker's own queue; new tasks arrive in the
        // global queue. If it is checked at each turn, a new short call is next, whatever the
        // spinning guests do.
        let build = |name: &str| {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(each.max(1)).max_blocking_threads(1).global_queue_interval(1).thread_name(name);
            builder.enable_time();
            builder
        };
        let quick = build("tidemill-guest").on_thread_start(sched::request_default_slice).build()?;
        let slow = build("tidemill-slow")
            .on_thread_start(|| {
                sched::request_long_slice();
                // Linux has a priority for each thread. If it is refused, the slow threads run at
                // the usual priority.
                if let Err(error) = rustix::process::setpriority_process(None, SLOW_NICE) {
                    tracing::debug!(%error, "the priority of a slow thread could not be lowered");
                }
            })
            .build()?;
        Ok(Self { quick: Some(quick), slow: Some(slow) })
    }

    /// Returns the runtime on which calls begin.
    pub fn quick(&self) -> Option<&Handle> {
        self.quick.as_ref().map(Runtime::handle)
    }

    /// Returns the runtime to which long calls move.
    pub fn slow(&self) -> Option<&Handle> {
        self.slow.as_ref().map(Runtime::handle)
    }
}

impl Drop for ThreadPools {
    fn drop(&mut self) {
        // An engine can be dropped on a thread of another runtime, where blocking is not allowed.
        for runtime in [self.quick.take(), self.slow.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}
