//! Waiting for something to become true.

use anyhow::bail;
use std::time::Duration;
use tokio::time::{Instant, sleep};

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
