//! Answers that take as long whoever is asked about: what is done for an address that has an account, and not for another,
//! must not show in how long it takes.

use std::time::Duration;

use tokio::time::Instant;

/// Answers come at multiples of this; the work behind them takes a small part of it.
const STEP: Duration = Duration::from_millis(100);

/// Does the work, and waits for the next whole step since its beginning.
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
