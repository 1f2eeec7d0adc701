//! Answers that take the same time for every address. If an address has an account, more work is done for it,
//! and that must not show in the time.

use std::time::Duration;

use tokio::time::Instant;

/// Answers are sent at multiples of this time. The work takes a small part of it.
const STEP: Duration = Duration::from_millis(100);

/// Does the work, then waits until a multiple of the step has passed since the start.
pub async fn in_even_time<T>(work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let result = work.await;
    let mut answer_at = begun + STEP;
    while answer_at < Instant::now() {
        answer_at += STEP;
    }
    tokio::time::sleep_until(answer_at).await;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn quick_and_quicker_work_take_as_long_and_slow_work_the_next_step() {
        let time = async |work: u64| {
            let begun = Instant::now();
            in_even_time(tokio::time::sleep(Duration::from_millis(work))).await;
            begun.elapsed()
        };
        assert!(time(0).await >= STEP && time(20).await >= STEP);
        assert!(time(130).await >= 2 * STEP);
    }
}
