//! Grouping of commits: calls that arrive while a transaction is under way share the next one.
//!
//! Nobody is answered before the commit, so durability is what it was; under light load a call is sent at
//! once and waits for no one.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, oneshot};

/// Most calls that share one transaction.
const MAX_BATCH: usize = 128;
/// Calls that may wait; further ones wait to be let in.
const MAX_WAITING: usize = 8_192;
/// Transactions under way at a time.
const LANES: usize = 2;

/// A door behind which calls are grouped.
pub(crate) struct Batcher<In, Out> {
    door: mpsc::Sender<(In, oneshot::Sender<Out>)>,
}

impl<In: Send + 'static, Out: Send + 'static> Batcher<In, Out> {
    /// Starts a batcher. `run` answers a group in its order.
    pub(crate) fn start<Run, Done>(run: Run) -> Self
    where
        Run: Fn(Vec<In>) -> Done + Send + Sync + 'static,
        Done: Future<Output = Vec<Out>> + Send,
    {
        let (door, mut waiting) = mpsc::channel::<(In, oneshot::Sender<Out>)>(MAX_WAITING);
        let run = Arc::new(run);
        tokio::spawn(async move {
            let lanes = Arc::new(Semaphore::new(LANES));
            let mut group = Vec::new();
            while let Ok(lane) = Arc::clone(&lanes).acquire_owned().await {
                if waiting.recv_many(&mut group, MAX_BATCH).await == 0 {
                    return;
                }
                let (calls, answers): (Vec<In>, Vec<_>) = group.drain(..).unzip();
                let run = Arc::clone(&run);
                tokio::spawn(async move {
                    for (out, answer) in run(calls).await.into_iter().zip(answers) {
                        // A caller that went away does not mind.
                        let _ = answer.send(out);
                    }
                    drop(lane);
                });
            }
        });
        Self { door }
    }

    /// Hands in a call and waits for its answer; `None` when the group was lost with the process stopping.
    pub(crate) async fn submit(&self, call: In) -> Option<Out> {
        let (answer, answered) = oneshot::channel();
        self.door.send((call, answer)).await.ok()?;
        answered.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_share_groups_and_get_their_own_answers() {
        let batcher = Arc::new(Batcher::start(|calls: Vec<u32>| async move {
            tokio::task::yield_now().await;
            let size = calls.len();
            calls.into_iter().map(|call| (call, size)).collect()
        }));
        let calls: Vec<_> = (0..100u32)
            .map(|call| {
                let batcher = Arc::clone(&batcher);
                tokio::spawn(async move { batcher.submit(call).await.unwrap() })
            })
            .collect();
        let mut largest = 0;
        for (expected, call) in (0..100u32).zip(calls) {
            let (echoed, size) = call.await.unwrap();
            assert_eq!(echoed, expected);
            largest = largest.max(size);
        }
        assert!(largest > 1);
    }
}
