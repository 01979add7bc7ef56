use super::*;

impl Gate {
    /// Leave for a call of so many units.
    async fn pass(&self, units: f64) -> Pass<'_> {
        self.pass_with(|_| ((), units)).await.0
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_grow_with_success_up_to_the_bound() {
    let gate = Gate::new(Some(12));
    for _ in 0..1000 {
        let pass = gate.pass(1.0).await;
        pass.taken(1.0);
    }

    assert_eq!(gate.permits.available_permits(), 12);
    let gate = Gate::new(Some(1));
    let pass = gate.pass(1.0).await;
    assert_eq!(gate.permits.available_permits(), 0);
    pass.taken(1.0);
    assert_eq!(gate.permits.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_do_not_grow_into_a_queue() {
    let gate = Gate::new(None);
    // A server that does one call at a time in 10 ms: the more there are, the longer each takes.
    for _ in 0..200 {
        let passes = as_many_as_given(&gate).await;
        for pass in passes {
            sleep(Duration::from_millis(10)).await;
            pass.taken(1.0);
        }
    }

    assert!(
        gate.state().limit < 24,
        "{} calls in flight",
        gate.state().limit
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_page_does_not_make_whole_ones_look_slow() {
    let gate = Gate::new(None);
    for round in 0..40 {
        // Whole pages take 100 ms, and each round but the first has the end of a segment.
        let mut passes = as_many_as_given(&gate).await.into_iter();
        sleep(Duration::from_millis(2)).await;
        if round > 0 {
            passes.next().expect("a pass").taken(1.0);
        }

        sleep(Duration::from_millis(98)).await;
        passes.for_each(|pass| pass.taken(128.0));
    }

    assert!(
        gate.state().limit > 24,
        "{} calls in flight",
        gate.state().limit
    );
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_calls_than_use_up_what_there_is() {
    for (cap, units, millis, calls) in [
        (5, 1.0, 20, 2),
        (25, 1.0, 200, 6),
        (4000, 25.0, 195, 33),
        (1_000_000, 25.0, 200, 128),
    ] {
        let gate = Gate::new(None);
        for _ in 0..10_000 {
            let pass = gate.pass(units).await;
            sleep(Duration::from_millis(millis)).await;
            pass.taken(units);
        }

        gate.shared.cap(cap);
        assert_eq!(gate.calls(), calls, "under a cap of {cap}");
    }
}

/// As many passes as the gate gives at once.
async fn as_many_as_given(gate: &Gate) -> Vec<Pass<'_>> {
    let mut passes = Vec::new();
    while gate.permits.available_permits() > 0 {
        passes.push(gate.pass(1.0).await);
    }

    passes
}
