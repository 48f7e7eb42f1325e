//! Waiting for something to become true.

use anyhow::bail;
use std::time::Duration;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

/// How often to look. Smaller would spend the two cores that the nodes need; larger would blur the two-second promises.
const PERIOD: Duration = Duration::from_millis(50);

/// Asks `look` again and again until it succeeds, and returns what it found.
///
/// # Errors
/// If it has not succeeded within `limit`: then with the last refusal.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let end = Instant::now() + limit;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() >= end => {
                bail!("{what}: not within {} s: {error:#}", limit.as_secs_f64())
            }
            Err(_) => sleep(PERIOD).await,
        }
    }
}

/// Returns the name of the signal, once this process is asked to end.
///
/// # Errors
/// If the system takes no handler.
pub async fn asked_to_end() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        biased;
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}
