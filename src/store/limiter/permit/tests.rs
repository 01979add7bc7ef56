//! Tests of the number of in-flight requests, in simulated time.

use super::*;

impl RequestLimiter {
    /// Acquires a permit for a request with this many units.
    async fn acquire_units(&self, units: f64) -> RequestPermit<'_> {
        self.acquire(|_| units).await.0
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_grow_with_success_up_to_the_bound() {
    let limiter = RequestLimiter::new(Some(12));
    for _ in 0..1000 {
        let permit = limiter.acquire_units(1.0).await;
        permit.succeeded(1.0);
    }

    assert_eq!(limiter.permits.available_permits(), 12);
    let limiter = RequestLimiter::new(Some(1));
    let permit = limiter.acquire_units(1.0).await;
    assert_eq!(limiter.permits.available_permits(), 0);
    permit.succeeded(1.0);
    assert_eq!(limiter.permits.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_do_not_grow_into_a_queue() {
    let limiter = RequestLimiter::new(None);
    // A server that handles one request at a time in 10 ms: the more there are, the longer each
    // takes.
    for _ in 0..200 {
        let permits = acquire_all(&limiter).await;
        for permit in permits {
            sleep(Duration::from_millis(10)).await;
            permit.succeeded(1.0);
        }
    }

    assert!(
        limiter.lock().limit < 24,
        "{} calls in flight",
        limiter.lock().limit
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_page_does_not_make_full_pages_look_slow() {
    let limiter = RequestLimiter::new(None);
    for round in 0..40 {
        // Full pages take 100 ms, and each round except the first contains the end of a segment.
        let mut permits = acquire_all(&limiter).await.into_iter();
        sleep(Duration::from_millis(2)).await;
        if round > 0 {
            permits.next().expect("a pass").succeeded(1.0);
        }

        sleep(Duration::from_millis(98)).await;
        permits.for_each(|permit| permit.succeeded(128.0));
    }

    assert!(
        limiter.lock().limit > 24,
        "{} calls in flight",
        limiter.lock().limit
    );
}

#[tokio::test(start_paused = true)]
async fn in_flight_calls_are_limited_by_the_available_units() {
    for (cap, units, millis, calls) in [
        (5, 1.0, 20, 2),
        (25, 1.0, 200, 6),
        (4000, 25.0, 195, 33),
        (1_000_000, 25.0, 200, 128),
    ] {
        let limiter = RequestLimiter::new(None);
        for _ in 0..10_000 {
            let permit = limiter.acquire_units(units).await;
            sleep(Duration::from_millis(millis)).await;
            permit.succeeded(units);
        }

        limiter.cap(cap);
        assert_eq!(limiter.useful_in_flight(), calls, "under a cap of {cap}");
    }
}

/// Whether the rate of the table is ever limited within five seconds in which every second request
/// fails for this reason.
async fn is_limited_by(reason: &str) -> bool {
    let limiter = RequestLimiter::new(None);
    let error = RequestError::throttled_by(reason, "arn:aws:dynamodb:r:a:table/films");
    let mut is_limited = false;
    for _ in 0..500 {
        sleep(Duration::from_millis(10)).await;
        limiter.acquire_units(1.0).await.succeeded(1.0);
        limiter.acquire_units(1.0).await.failed(&error);
        is_limited |= limiter.call_budget().is_some();
    }

    is_limited
}

#[tokio::test(start_paused = true)]
async fn a_hot_partition_does_not_lower_the_rate_of_the_table() {
    for reason in [
        "TableWriteKeyRangeThroughputExceeded",
        "IndexWriteKeyRangeThroughputExceeded",
    ] {
        assert!(!is_limited_by(reason).await, "{reason}");
    }

    for reason in [
        "TableWriteProvisionedThroughputExceeded",
        "TableWriteAccountLimitExceeded",
        "TableWriteMaxOnDemandThroughputExceeded",
    ] {
        assert!(is_limited_by(reason).await, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_partition_refused_does_not_count_against_the_cap() {
    let limiter = RequestLimiter::new(None);
    limiter.cap(10);
    let error = RequestError::throttled_by("TableWriteKeyRangeThroughputExceeded", "");
    limiter.acquire_units(100.0).await.failed(&error);

    let began = Instant::now();
    limiter.acquire_units(1.0).await.succeeded(1.0);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

/// Acquires as many permits as are available immediately.
async fn acquire_all(limiter: &RequestLimiter) -> Vec<RequestPermit<'_>> {
    let mut permits = Vec::new();
    while limiter.permits.available_permits() > 0 {
        permits.push(limiter.acquire_units(1.0).await);
    }

    permits
}
