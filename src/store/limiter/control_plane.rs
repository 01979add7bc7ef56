//! Rates of control-plane calls, such as `ListTagsOfResource`: one limiter per operation, which all tables share, because AWS
//! counts the calls of the whole account.
//!
//! Calls to AWS start at the documented rate. Other endpoints have no limit until they throttle a call. Then the rate falls to
//! what the endpoint accepted, or to half, and doubles every ten seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::aws::ApiOperation;
use crate::aws::error::{ErrorClass, RequestError};
use crate::store::endpoint_kind::EndpointKind;

/// Maximum calls per second and account (AWS, in the API reference of each operation).
const DOCUMENTED_RATES: [(&str, f64); 8] = [
    ("CreateBackup", 50.0),
    ("DescribeBackup", 10.0),
    ("DeleteBackup", 10.0),
    ("DescribeContinuousBackups", 10.0),
    ("ListBackups", 5.0),
    ("ListTagsOfResource", 10.0),
    ("TagResource", 5.0),
    ("UntagResource", 5.0),
];

/// Maximum calls per second of any other operation. AWS allows 2,500 of all operations together
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-control-plane.html>), and others need some of them.
const OTHER_RATE: f64 = 1000.0;

/// Share of a rate that is used, so that calls that arrive a little earlier than they were sent are not throttled.
const USED_SHARE: f64 = 0.9;

/// Minimum rate, in calls per second.
const MIN_RATE: f64 = 0.2;

/// Time for which calls may be early: it allows bursts at high rates, but none at the documented ones.
const BURST: Duration = Duration::from_millis(20);

/// Time without calls after one was throttled. Limits apply to periods of a second.
const PAUSE: Duration = Duration::from_secs(1);

/// Minimum delay that is reported to the caller.
const NOTABLE_DELAY: Duration = Duration::from_millis(100);

/// Time after which the rate has doubled, if no call is throttled.
const DOUBLING_TIME: Duration = Duration::from_secs(10);

/// The rates of all operations.
pub(crate) struct ControlPlane {
    is_aws: bool,
    by_operation: Mutex<HashMap<&'static str, Arc<OperationRate>>>,
}

/// The rate of one operation.
struct OperationRate {
    state: Mutex<RateState>,
    /// Calls are sent in the order in which they ask.
    queue: tokio::sync::Mutex<()>,
}

struct RateState {
    /// The rate that is never exceeded.
    max: f64,
    /// Calls per second; `None` if they are not limited.
    rate: Option<f64>,
    /// When the rate last changed.
    changed: Instant,
    /// When the next call may be sent.
    next: Instant,
    /// When the rate was last reduced. Calls sent before say nothing about the new rate.
    reduced: Option<Instant>,
    accepted: AcceptedCalls,
}

/// The number of calls that were accepted in the current second and the one before.
struct AcceptedCalls {
    second: Instant,
    current: u32,
    previous: u32,
}

/// Permission to send one call.
pub(crate) struct Turn {
    rate: Arc<OperationRate>,
    sent: Instant,
    /// Whether the call had to wait for long.
    pub(crate) was_delayed: bool,
}

impl ControlPlane {
    pub(crate) fn new(endpoint_kind: EndpointKind) -> Self {
        Self {
            is_aws: endpoint_kind == EndpointKind::Aws,
            by_operation: Mutex::default(),
        }
    }

    /// Waits until a call may be sent.
    pub(crate) async fn turn(&self, operation: ApiOperation) -> Turn {
        let asked = Instant::now();
        let rate = self.rate(operation.name);
        let queue = rate.queue.lock().await;
        loop {
            let Err(next) = rate.lock().take(Instant::now()) else {
                break;
            };
            // Checked again afterwards, because a call in flight may be throttled meanwhile.
            sleep_until(next).await;
        }
        drop(queue);

        let sent = Instant::now();
        Turn {
            rate,
            sent,
            was_delayed: sent - asked >= NOTABLE_DELAY,
        }
    }

    /// The time that this number of calls takes because of their rate; zero if it is not limited.
    pub(crate) fn time_for(&self, operation: ApiOperation, calls: usize) -> Duration {
        let rate = self.rate(operation.name).lock().rate;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        rate.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(calls as f64 / rate)
        })
    }

    fn rate(&self, operation: &'static str) -> Arc<OperationRate> {
        let mut by_operation = self
            .by_operation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let rate = by_operation
            .entry(operation)
            .or_insert_with(|| Arc::new(OperationRate::new(operation, self.is_aws)));

        Arc::clone(rate)
    }
}

impl OperationRate {
    fn new(operation: &str, is_aws: bool) -> Self {
        let documented = DOCUMENTED_RATES.iter().find(|(name, _)| *name == operation);
        let max = documented.map_or(OTHER_RATE, |(_, rate)| rate * USED_SHARE);
        let now = Instant::now();
        let state = RateState {
            max,
            rate: is_aws.then_some(max),
            changed: now,
            next: now,
            reduced: None,
            accepted: AcceptedCalls {
                second: now,
                current: 0,
                previous: 0,
            },
        };

        Self {
            state: Mutex::new(state),
            queue: tokio::sync::Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Records the response to the call.
    pub(crate) fn record<T>(&self, answer: &Result<T, RequestError>) {
        let now = Instant::now();
        match answer {
            Ok(_) => self.rate.lock().accepted.add(now),
            // A limit on changes at the same time is not a rate.
            Err(error) if error.class == ErrorClass::Throttled && !error.is_limit_exceeded() => {
                self.rate.lock().reduce(self.sent, now);
            }
            // The rate was accepted.
            Err(_) => {}
        }
    }
}

impl RateState {
    /// Takes permission to send a call, or returns the time of the next one.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let Some(rate) = self.current_rate(now) else {
            return Ok(());
        };

        if self.next > now {
            return Err(self.next);
        }

        let earliest = now.checked_sub(BURST).unwrap_or(now);
        self.next = self.next.max(earliest) + Duration::from_secs_f64(1.0 / rate);

        Ok(())
    }

    /// The rate, which recovers over time.
    fn current_rate(&mut self, now: Instant) -> Option<f64> {
        let rate = self.rate?;
        let doublings = (now - self.changed).as_secs_f64() / DOUBLING_TIME.as_secs_f64();
        let recovered = (rate * doublings.exp2()).min(self.max);
        self.rate = Some(recovered);
        self.changed = now;

        Some(recovered)
    }

    /// Reduces the rate after a call that was sent at `sent` and throttled.
    fn reduce(&mut self, sent: Instant, now: Instant) {
        if self.reduced.is_some_and(|reduced| sent < reduced) {
            return;
        }

        let accepted = f64::from(self.accepted.per_second(now).max(1));
        let half = self.current_rate(now).unwrap_or(f64::INFINITY) / 2.0;
        self.rate = Some(half.min(accepted).min(self.max).max(MIN_RATE));
        self.changed = now;
        self.reduced = Some(now);
        self.next = self.next.max(now + PAUSE);
    }
}

impl AcceptedCalls {
    fn add(&mut self, now: Instant) {
        self.advance(now);
        self.current += 1;
    }

    fn per_second(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.current.max(self.previous)
    }

    fn advance(&mut self, now: Instant) {
        let passed = (now - self.second).as_secs();
        if passed == 0 {
            return;
        }

        self.previous = if passed == 1 { self.current } else { 0 };
        self.current = 0;
        self.second += Duration::from_secs(passed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::store::retry::Retry;

    const TAGS: ApiOperation = ApiOperation::LIST_TAGS_OF_RESOURCE;
    const LATENCY: Duration = Duration::from_millis(10);

    /// How an endpoint limits calls.
    #[derive(Clone, Copy)]
    enum Limit {
        /// Tokens that return at this rate, up to this number.
        Bucket(f64),
        /// Calls in each second.
        Window(f64),
        None,
    }

    /// An endpoint with a limit.
    struct Endpoint {
        limit: Limit,
        since: Instant,
        /// Tokens left, or calls in this second.
        count: f64,
    }

    impl Endpoint {
        fn new(limit: Limit) -> Self {
            let count = match limit {
                Limit::Bucket(rate) => rate,
                Limit::Window(_) | Limit::None => 0.0,
            };
            Self {
                limit,
                since: Instant::now(),
                count,
            }
        }

        fn accepts(&mut self) -> bool {
            let now = Instant::now();
            let passed = (now - self.since).as_secs_f64();
            match self.limit {
                Limit::Bucket(rate) => {
                    self.count = (self.count + passed * rate).min(rate);
                    self.since = now;
                    let is_accepted = self.count >= 1.0;
                    self.count -= f64::from(u8::from(is_accepted));
                    is_accepted
                }
                Limit::Window(rate) => {
                    if passed >= 1.0 {
                        self.since = now;
                        self.count = 0.0;
                    }
                    let is_accepted = self.count < rate;
                    self.count += f64::from(u8::from(is_accepted));
                    is_accepted
                }
                Limit::None => true,
            }
        }
    }

    /// Makes a call for each of `tables` tables, sixteen at a time. Returns the seconds, the refusals, and the most refusals in a row
    /// of one call.
    async fn call_for(tables: usize, kind: EndpointKind, limit: Limit) -> (f64, usize, usize) {
        let control_plane = Arc::new(ControlPlane::new(kind));
        let endpoint = Arc::new(Mutex::new(Endpoint::new(limit)));
        let next = Arc::new(Mutex::new(0..tables));
        let began = Instant::now();
        let workers: JoinSet<Vec<usize>> = (0..16)
            .map(|_| {
                let (control_plane, endpoint, next) = (
                    Arc::clone(&control_plane),
                    Arc::clone(&endpoint),
                    Arc::clone(&next),
                );
                async move {
                    let mut refusals = Vec::new();
                    while next.lock().unwrap().next().is_some() {
                        refusals.push(refusals_of_call(&control_plane, &endpoint).await);
                    }
                    refusals
                }
            })
            .collect();
        let refusals: Vec<usize> = workers.join_all().await.concat();

        (
            began.elapsed().as_secs_f64(),
            refusals.iter().sum(),
            refusals.iter().copied().max().unwrap_or(0),
        )
    }

    /// Repeats a call until the endpoint accepts it.
    async fn refusals_of_call(control_plane: &ControlPlane, endpoint: &Mutex<Endpoint>) -> usize {
        let mut refusals = 0;
        let mut delays = Retry::backoff();
        loop {
            let turn = control_plane.turn(TAGS).await;
            let is_accepted = endpoint.lock().unwrap().accepts();
            tokio::time::sleep(LATENCY).await;
            if is_accepted {
                turn.record(&Ok(()));
                return refusals;
            }

            let error = RequestError::for_test("ThrottlingException", 400, "Rate exceeded");
            turn.record(&Err::<(), _>(error));
            refusals += 1;
            tokio::time::sleep(delays.next_delay()).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_to_aws_keep_to_the_documented_rate_and_none_is_refused() {
        for limit in [Limit::Bucket(10.0), Limit::Window(10.0)] {
            let (seconds, refusals, _) = call_for(1000, EndpointKind::Aws, limit).await;
            assert_eq!(refusals, 0);
            assert!((100.0..115.0).contains(&seconds), "{seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_is_refused_more_than_three_times_in_a_row() {
        for (kind, limit, rate) in [
            // A share of AWS's rate, because others use the rest.
            (EndpointKind::Aws, Limit::Bucket(5.0), 5.0),
            (EndpointKind::Aws, Limit::Window(3.0), 3.0),
            // Endpoints whose limits are not known.
            (EndpointKind::Local, Limit::Bucket(10.0), 9.0),
            (EndpointKind::Local, Limit::Window(10.0), 9.0),
            (EndpointKind::Remote, Limit::Bucket(2.0), 2.0),
        ] {
            let (seconds, refusals, in_a_row) = call_for(300, kind, limit).await;
            assert!(
                in_a_row <= 3,
                "{kind:?} at {rate}/s: {in_a_row} refusals in a row"
            );
            assert!(
                refusals < 60,
                "{kind:?} at {rate}/s: {refusals} refusals of 300 calls"
            );
            assert!(
                seconds < 2.5 * 300.0 / rate,
                "{kind:?} at {rate}/s: {seconds} s"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_without_limits_is_not_slowed_down() {
        let (seconds, _, _) = call_for(1000, EndpointKind::Local, Limit::None).await;
        assert!(seconds < 1.0, "{seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn one_operation_does_not_wait_for_another() {
        let control_plane = ControlPlane::new(EndpointKind::Aws);
        control_plane.turn(TAGS).await;
        let (tags, description) = tokio::join!(
            control_plane.turn(TAGS),
            control_plane.turn(ApiOperation::DESCRIBE_TABLE)
        );

        assert!(tags.was_delayed && !description.was_delayed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_on_changes_at_the_same_time_does_not_lower_the_rate() {
        let control_plane = ControlPlane::new(EndpointKind::Local);
        let turn = control_plane.turn(ApiOperation::CREATE_TABLE).await;
        let error = RequestError::for_test(
            "LimitExceededException",
            400,
            "Subscriber limit exceeded: Only 10 tables can be created, updated, or deleted simultaneously",
        );
        turn.record(&Err::<(), _>(error));

        assert!(
            !control_plane
                .turn(ApiOperation::CREATE_TABLE)
                .await
                .was_delayed
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_lookups_is_known_where_their_rate_is_limited() {
        let time = |kind| ControlPlane::new(kind).time_for(TAGS, 900);
        assert_eq!(time(EndpointKind::Aws), Duration::from_secs(100));
        assert_eq!(time(EndpointKind::Local), Duration::ZERO);
    }
}
