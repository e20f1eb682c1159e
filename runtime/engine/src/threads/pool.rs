//! The threads that guests run on: quick ones, and slow ones of low priority for calls that take long. The host's own
//! work (API, store, timers, requests that leave) runs elsewhere, so a guest that spins delays none of it.

use tokio::runtime::{Builder, Handle, Runtime};

use crate::threads::sched;

/// How much lower the priority of the slow threads is.
const SLOW_NICE: i32 = 10;

/// The two runtimes.
#[derive(Debug)]
pub(crate) struct ThreadPools {
    quick: Option<Runtime>,
    slow: Option<Runtime>,
}

impl ThreadPools {
    /// Starts `each` threads of either kind.
    ///
    /// # Errors
    /// Where the machine gives no threads.
    pub fn start(each: usize) -> std::io::Result<Self> {
        // A task that yields goes to the end of its worker's own queue; new ones come through the global one. Looked at
        // each time, a new short call is next, whatever the spinning ones do.
        let build = |name: &str| {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(each.max(1)).max_blocking_threads(1).global_queue_interval(1).thread_name(name);
            builder.enable_time();
            builder
        };
        let quick = build("tidemill-guest").on_thread_start(sched::ask_for_usual).build()?;
        let slow = build("tidemill-slow")
            .on_thread_start(|| {
                sched::ask_for_long();
                // On Linux a thread's own priority. Where it is refused, the slow are only as quick as the others.
                if let Err(error) = rustix::process::setpriority_process(None, SLOW_NICE) {
                    tracing::debug!(%error, "the slow threads keep their priority");
                }
            })
            .build()?;
        Ok(Self { quick: Some(quick), slow: Some(slow) })
    }

    /// Where calls begin.
    pub fn quick(&self) -> Option<&Handle> {
        self.quick.as_ref().map(Runtime::handle)
    }

    /// Where they go that take long.
    pub fn slow(&self) -> Option<&Handle> {
        self.slow.as_ref().map(Runtime::handle)
    }
}

impl Drop for ThreadPools {
    fn drop(&mut self) {
        // An engine may be dropped on a thread of another runtime, where waiting is not allowed.
        for runtime in [self.quick.take(), self.slow.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}
