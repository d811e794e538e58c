//! How many calls are running, so that a stop can wait for them and let no new ones in.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// The running calls of this process.
#[derive(Debug, Clone)]
pub(crate) struct Calls(Arc<watch::Sender<State>>);

#[derive(Debug, Default)]
struct State {
    running: usize,
    closed: bool,
}

impl Default for Calls {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }
}

impl Calls {
    /// Begins a call, which ends when the returned value is dropped; `None` once the server is stopping.
    pub(crate) fn enter(&self) -> Option<Running> {
        let entered = self.0.send_if_modified(|state| {
            state.running += usize::from(!state.closed);
            !state.closed
        });
        entered.then(|| Running(self.clone()))
    }

    /// Lets no further call in, and returns when none runs any more, or after `bound`.
    pub(crate) async fn finish(&self, bound: Duration) {
        self.0.send_modify(|state| state.closed = true);
        let mut state = self.0.subscribe();
        let _ = tokio::time::timeout(bound, state.wait_for(|state| state.running == 0)).await;
    }
}

/// A running call.
pub(crate) struct Running(Calls);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_running_calls_and_lets_no_new_ones_in() {
        let calls = Calls::default();
        let running = calls.enter().unwrap();
        let stop = tokio::spawn({
            let calls = calls.clone();
            async move { calls.finish(Duration::from_secs(60)).await }
        });
        while calls.enter().is_some() {
            tokio::task::yield_now().await;
        }
        assert!(!stop.is_finished());
        drop(running);
        stop.await.unwrap();
    }
}
