use tokio::time::Instant;

use super::*;
use crate::store::clock::PageWait;

#[derive(Default)]
struct RecordedEvents(Mutex<Vec<Event>>);

impl Reporter for RecordedEvents {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl RecordedEvents {
    fn warnings(&self) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|event| matches!(event, Event::Warning(_)))
            .count()
    }
}

/// Delays that have grown to their maximum.
fn late_backoff() -> Backoff {
    let mut delays = Retry::backoff();
    delays.nth(20);

    delays
}

/// Fails until the calls about the table give up.
async fn fail_until_given_up(retry: &Retry, table: &str) -> Result<(), RequestError> {
    let progress = retry.table_progress(table);
    let started = progress.clock().now();
    let mut delays = Retry::backoff();
    loop {
        retry
            .wait_or_give_up(
                &progress,
                RequestError::for_test("ThrottlingException", 400, "slow down"),
                started,
                &mut delays,
            )
            .await?;
    }
}

#[tokio::test(start_paused = true)]
async fn giving_up_depends_on_time_and_not_on_the_number_of_calls() {
    let events = Arc::new(RecordedEvents::default());
    let retry = Retry::new(Duration::from_mins(5), events.clone());
    let started = Instant::now();
    let error = fail_until_given_up(&retry, "films").await.unwrap_err();
    assert!(
        error.code_and_message().contains("slow down") && error.code_and_message().contains("300s"),
        "{}",
        error.code_and_message()
    );

    let took = started.elapsed();
    assert!((300..=310).contains(&took.as_secs()), "{took:?}");
    assert!(
        (3..=8).contains(&events.warnings()),
        "{} warnings in five minutes",
        events.warnings()
    );
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_is_throttled_waits_as_long_as_other_tables_are_created() {
    let events = Arc::new(RecordedEvents::default());
    let retry = Retry::new(Duration::from_mins(5), events.clone());
    let progress = retry.creation_progress();
    let started = progress.clock().now();
    let message = "Only 10 tables can be created, updated, or deleted simultaneously";
    let mut delays = Retry::backoff();
    let mut wait = async || {
        let error = RequestError::for_test("LimitExceededException", 400, message);
        retry
            .wait_or_give_up(&progress, error, started, &mut delays)
            .await
    };

    let began = Instant::now();
    while began.elapsed() < Duration::from_mins(30) {
        retry.record_success(&retry.creation_progress());
        wait().await.expect("other tables are created");
    }

    let last_success = Instant::now();
    while wait().await.is_ok() {}
    let waited = last_success.elapsed().as_secs();
    assert!((290..=310).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_small_cap_is_not_a_stall() {
    let events = Arc::new(RecordedEvents::default());
    let retry = Retry::new(Duration::from_mins(5), events.clone());
    let progress = retry.table_progress("films");
    let error = || RequestError::for_test("InternalServerError", 500, "provoked");
    for _ in 0..3 {
        // An item of 400 KB waits this long under a cap of one unit.
        let started = progress.clock().now();
        tokio::time::sleep(Duration::from_secs(400)).await;
        progress.record_call();
        retry
            .wait_or_give_up(&progress, error(), started, &mut Retry::backoff())
            .await
            .expect("one fault is no reason");
        retry.record_success(&progress);
    }

    assert_eq!(events.warnings(), 0, "calls succeed as often as they may");
    let gave_up = fail_until_given_up(&retry, "films").await.unwrap_err();
    assert!(
        gave_up.code_and_message().contains("300s"),
        "{}",
        gave_up.code_and_message()
    );
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_process_was_paused_is_not_a_stall() {
    let events = Arc::new(RecordedEvents::default());
    let retry = Retry::new(Duration::from_mins(5), events.clone());
    let progress = retry.table_progress("films");
    let error = || RequestError::timeout();
    let started = progress.clock().now();
    tokio::time::advance(Duration::from_hours(1)).await;
    retry
        .wait_or_give_up(&progress, error(), started, &mut Retry::backoff())
        .await
        .expect("the call is made again");
    assert_eq!(events.warnings(), 0, "nothing has failed for long");

    // The endpoint stays away: the run gives up after its time limit, a part of which had
    // passed before.
    let gave_up = fail_until_given_up(&retry, "films").await.unwrap_err();
    assert!(
        gave_up.code_and_message().contains("300s"),
        "{}",
        gave_up.code_and_message()
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_again_after_every_pause_of_the_process() {
    let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
    let progress = retry.table_progress("films");
    let started = progress.clock().now();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(299)).await;
        tokio::time::advance(Duration::from_hours(1)).await;
        let again = retry
            .wait_or_give_up(
                &progress,
                RequestError::timeout(),
                started,
                &mut Retry::backoff(),
            )
            .await;
        again.expect("the call is made again");
    }

    tokio::time::sleep(Duration::from_secs(299)).await;
    let again = retry
        .wait_or_give_up(
            &progress,
            RequestError::timeout(),
            started,
            &mut Retry::backoff(),
        )
        .await;
    assert!(again.is_err(), "without a pause the run gives up");
}

#[tokio::test(start_paused = true)]
async fn a_fault_after_a_long_wait_for_our_own_consumer_is_retried() {
    let events = Arc::new(RecordedEvents::default());
    let retry = Retry::new(Duration::from_mins(5), events.clone());
    let progress = retry.table_progress("films");
    retry.record_success(&progress);
    let started = progress.clock().now();
    progress.record_call();
    let waiting = progress.clock().enter(PageWait::ForMemory);
    tokio::time::sleep(Duration::from_mins(20)).await;
    drop(waiting);
    let error = RequestError::for_test(
        "InternalServerError",
        500,
        "the connection was closed meanwhile",
    );

    retry
        .wait_or_give_up(&progress, error, started, &mut Retry::backoff())
        .await
        .expect("it is the first fault");
    assert_eq!(events.warnings(), 0);
    let gave_up = fail_until_given_up(&retry, "films").await.unwrap_err();
    assert!(
        gave_up.code_and_message().contains("300s"),
        "{}",
        gave_up.code_and_message()
    );
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_at_most_a_second_while_other_calls_succeed() {
    let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
    let progress = retry.table_progress("films");
    let mut delays = late_backoff();
    let mut sleeps = async |succeeds: bool| {
        if succeeds {
            retry.record_success(&progress);
        }

        let began = Instant::now();
        let wait = Retry::next_delay(&progress, &mut delays);
        retry
            .sleep_before_retry(&RequestError::unprocessed(1, 1), wait)
            .await;
        began.elapsed()
    };

    assert_eq!(sleeps(true).await, MAX_DELAY_WHILE_SUCCEEDING);
    assert_eq!(sleeps(true).await, MAX_DELAY_WHILE_SUCCEEDING);
    assert_eq!(
        sleeps(false).await,
        MAX_DELAY,
        "nobody has succeeded meanwhile"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stall_and_its_end_are_reported_once_each() {
    let events = Arc::new(RecordedEvents::default());
    let retry = Arc::new(Retry::new(Duration::from_mins(5), events.clone()));
    let progress = retry.table_progress("films");
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let retry = Arc::clone(&retry);
            tokio::spawn(async move { drop(fail_until_given_up(&retry, "films").await) })
        })
        .collect();

    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(events.warnings(), 0, "a short hitch is nobody's business");
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(events.warnings(), 1);
    retry.record_success(&progress);
    retry.record_success(&progress);
    let infos = events
        .0
        .lock()
        .unwrap()
        .iter()
        .filter(|event| matches!(event, Event::Info(_)))
        .count();

    assert_eq!(infos, 1);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn each_table_gives_up_independently_of_the_others() {
    let events = Arc::new(RecordedEvents::default());
    let retry = Arc::new(Retry::new(Duration::from_mins(5), events.clone()));
    let healthy = {
        let retry = Arc::clone(&retry);
        tokio::spawn(async move {
            let progress = retry.table_progress("healthy");
            loop {
                progress.record_call();
                tokio::time::sleep(Duration::from_millis(100)).await;
                retry.record_success(&progress);
            }
        })
    };

    let started = Instant::now();
    let broken = tokio::time::timeout(
        Duration::from_mins(10),
        fail_until_given_up(&retry, "broken"),
    );
    let error = broken.await.expect("it gives up").unwrap_err();
    assert!(error.message.contains("300s"), "{}", error.message);
    let took = started.elapsed().as_secs();
    assert!((300..=310).contains(&took), "{took} s");
    assert!(events.warnings() > 0, "nobody was warned");
    healthy.abort();
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_table_that_wait_for_the_consumer_stop_no_other_clock() {
    let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
    let source = retry.table_progress("source");
    let waiting = source.clock().enter(PageWait::ForMemory);
    let started = source.clock().now();

    for progress in [
        retry.call_progress(Some("target")),
        retry.table_progress("target"),
    ] {
        let (started, mut delays) = (progress.clock().now(), Retry::backoff());
        let failing = async {
            let error = RequestError::timeout;
            while let Ok(()) = retry
                .wait_or_give_up(&progress, error(), started, &mut delays)
                .await
            {}
        };
        let ended = tokio::time::timeout(Duration::from_mins(6), failing).await;
        ended.expect("the target is given up");
    }

    assert_eq!(source.clock().now(), started);
    drop(waiting);
}

#[tokio::test(start_paused = true)]
async fn other_tables_do_not_shorten_the_delays_of_a_table_that_fails() {
    let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
    retry.record_success(&retry.table_progress("healthy"));
    let wait = Retry::next_delay(&retry.table_progress("broken"), &mut late_backoff());
    assert_eq!(wait, MAX_DELAY);
    assert!(retry.has_succeeded(), "the endpoint has answered");
}

#[tokio::test(start_paused = true)]
async fn calls_about_no_table_have_only_their_own_time() {
    let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
    let (progress, other) = (retry.call_progress(None), retry.call_progress(None));
    let (started, mut delays) = (progress.clock().now(), Retry::backoff());
    let error = loop {
        retry.record_success(&other);
        let waited = retry
            .wait_or_give_up(&progress, RequestError::timeout(), started, &mut delays)
            .await;
        if let Err(error) = waited {
            break error;
        }

        assert!(retry.since(started) < Duration::from_mins(10));
    };
    assert!(error.message.contains("300s"), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn a_hot_partition_is_reported_once_and_named_by_warnings() {
    let events = Arc::new(RecordedEvents::default());
    let retry = Retry::new(Duration::from_mins(5), events.clone());
    let progress = retry.table_progress("films");
    let error = || {
        RequestError::throttled_by(
            "TableWriteKeyRangeThroughputExceeded",
            "arn:aws:dynamodb:r:a:table/films",
        )
    };
    let (started, mut delays) = (progress.clock().now(), Retry::backoff());
    for _ in 0..3 * THROTTLED_BEFORE_REPORT {
        retry.record_success(&progress);
        retry
            .wait_or_give_up(&progress, error(), started, &mut delays)
            .await
            .expect("there is progress");
    }

    let mentions = |events: &RecordedEvents, kind: for<'a> fn(&'a Event) -> Option<&'a String>| {
        let events = events.0.lock().unwrap();
        let texts = events.iter().filter_map(kind);
        texts
            .filter(|text| text.contains("a partition of the table"))
            .count()
    };
    assert_eq!(
        mentions(&events, |event| match event {
            Event::Info(text) => Some(text),
            _ => None,
        }),
        1
    );

    tokio::time::sleep(Duration::from_mins(1)).await;
    retry
        .wait_or_give_up(&progress, error(), started, &mut delays)
        .await
        .expect("it is not time to give up");
    assert_eq!(
        mentions(&events, |event| match event {
            Event::Warning(text) => Some(text),
            _ => None,
        }),
        1
    );
}
