use super::*;
use proptest::prelude::*;

const SECOND: Nanos = 1_000_000_000;

fn policy() -> CircuitBreaker {
    CircuitBreaker {
        failure_rate_percent: 50,
        window_ms: 10_000,
        minimum_requests: 10,
        base_open_time_ms: 5_000,
        max_open_time_ms: 20_000,
        half_open_requests: 3,
        max_requests: None,
    }
}

fn circuit() -> Circuit {
    Circuit::new(policy(), None)
}

fn tell(circuit: &Circuit, count: usize, is_success: bool) {
    (0..count).for_each(|_| circuit.enter().unwrap().tell(circuit, is_success));
}

/// A circuit that opened at 0.
fn opened() -> Circuit {
    let circuit = circuit();
    tell(&circuit, 10, false);
    assert_eq!(circuit.sweep(0).unwrap().to, Phase::Open);
    circuit
}

fn half_opened() -> Circuit {
    let circuit = opened();
    assert_eq!(circuit.sweep(5 * SECOND).unwrap().to, Phase::HalfOpen);
    circuit
}

#[test]
fn it_opens_at_the_threshold_and_not_below() {
    let circuit = circuit();
    tell(&circuit, 6, true);
    tell(&circuit, 5, false);
    assert_eq!(circuit.sweep(0), None, "45 percent");
    tell(&circuit, 1, false);
    let transition = circuit.sweep(0).unwrap();
    assert_eq!((transition.from, transition.to), (Phase::Closed, Phase::Open));
    assert_eq!(transition.reason, "50% of 12 requests failed, for 5 s");
    assert!(circuit.refuses() && circuit.enter().is_none());
}

#[test]
fn few_requests_say_nothing() {
    let circuit = circuit();
    tell(&circuit, 9, false);
    assert_eq!(circuit.sweep(0), None);
    tell(&circuit, 1, false);
    assert_eq!(circuit.sweep(11 * SECOND), None, "the others are too old");
}

#[test]
fn its_probes_close_it() {
    let circuit = half_opened();
    let probes: Vec<Permit> = (0..3).map(|_| circuit.enter().unwrap()).collect();
    assert!(probes.iter().all(Permit::is_probe));
    assert!(circuit.refuses() && circuit.enter().is_none(), "no more than three");
    probes.into_iter().for_each(|probe| probe.tell(&circuit, true));
    assert!(circuit.enter().is_none(), "until it is closed");
    assert_eq!(circuit.sweep(6 * SECOND).unwrap().to, Phase::Closed);
    assert!(!circuit.enter().unwrap().is_probe());
    assert_eq!(circuit.report(6 * SECOND).transitions, [1, 1, 1]);
}

#[test]
fn one_that_says_nothing_leaves_its_place() {
    let circuit = half_opened();
    let probes: Vec<Permit> = (0..3).map(|_| circuit.enter().unwrap()).collect();
    drop(probes);
    assert_eq!(circuit.sweep(6 * SECOND), None);
    assert!(circuit.enter().unwrap().is_probe());
}

#[test]
fn a_failure_opens_it_for_twice_as_long_up_to_the_longest() {
    let circuit = half_opened();
    let mut now = 5 * SECOND;
    for seconds in [10, 20, 20] {
        tell(&circuit, 1, false);
        assert!(circuit.enter().is_none(), "no more probes after a failure");
        assert_eq!(circuit.sweep(now).unwrap().reason, format!("a probe failed, for {seconds} s"));
        assert_eq!(circuit.retry_after(now), seconds);
        assert_eq!(circuit.sweep(now + u64::from(seconds) * SECOND - 1), None);
        now += u64::from(seconds) * SECOND;
        assert_eq!(circuit.sweep(now).unwrap().to, Phase::HalfOpen);
    }
    tell(&circuit, 3, true);
    assert_eq!(circuit.sweep(now).unwrap().to, Phase::Closed);
    tell(&circuit, 10, false);
    assert!(circuit.sweep(now).unwrap().reason.ends_with("for 5 s"), "closing makes it forget");
}

#[test]
fn what_began_before_does_not_count_after() {
    let circuit = circuit();
    let old: Vec<Permit> = (0..20).map(|_| circuit.enter().unwrap()).collect();
    tell(&circuit, 10, false);
    circuit.sweep(0).unwrap();
    circuit.sweep(5 * SECOND).unwrap();
    tell(&circuit, 3, true);
    circuit.sweep(5 * SECOND).unwrap();
    old.into_iter().for_each(|permit| permit.tell(&circuit, false));
    assert_eq!(circuit.sweep(5 * SECOND), None);
    assert_eq!(circuit.report(5 * SECOND).reading, Reading::default());
}

#[test]
fn a_reload_goes_on_where_it_was() {
    let before = opened();
    let after = Circuit::new(CircuitBreaker { half_open_requests: 1, ..policy() }, Some(&before));
    assert!(after.enter().is_none());
    after.sweep(5 * SECOND).unwrap();
    tell(&after, 1, true);
    assert_eq!(after.sweep(5 * SECOND).unwrap().reason, "the probe succeeded");
    let off = Circuit::new(CircuitBreaker { failure_rate_percent: 0, ..policy() }, Some(&opened()));
    assert!(off.enter().is_some(), "at once");
    assert_eq!(off.sweep(SECOND).unwrap().reason, "turned off");
}

#[test]
fn what_threads_write_is_apart() {
    let shared = Shared::default();
    let places = [
        std::ptr::from_ref(&shared.gate) as usize,
        std::ptr::from_ref(&shared.counts) as usize,
        std::ptr::from_ref(&*shared.under_way) as usize,
        std::ptr::from_ref(&shared.breaker) as usize,
    ];
    for (i, a) in places.iter().enumerate() {
        assert!(places[i + 1..].iter().all(|b| a / 128 != b / 128), "{places:?}");
    }
}

#[test]
fn room_is_never_exceeded() {
    let limited = Circuit::new(CircuitBreaker { max_requests: Some(2), ..policy() }, None);
    let (one, other) = (limited.room().unwrap(), limited.room().unwrap());
    assert!(one.count_in() && other.count_in());
    assert!(!one.count_in() && !other.has_room() && limited.is_full());
    other.count_out();
    assert!(one.has_room() && !limited.is_full());
}

/// Whether it is a probe of the trial that goes on now.
fn is_current(circuit: &Circuit, permit: &Permit) -> bool {
    permit.is_probe() && circuit.shared.gate.0.generation() == permit.generation
}

/// What a window that forgets nothing too early and keeps nothing too long holds, at least and at most.
fn bounds(events: &[(Nanos, bool)], now: Nanos, window: Nanos) -> (u32, u32) {
    let since =
        |reach: Nanos| u32::try_from(events.iter().filter(|(at, _)| at + reach > now).count()).unwrap();
    (since(window - window / 10), since(window))
}

proptest! {
    /// It opens exactly when its window says so, and the window holds nine to ten tenths of its length.
    #[test]
    fn it_opens_by_what_its_window_holds(
        steps in prop::collection::vec((0_u64..3 * SECOND, any::<bool>()), 1..200),
        percent in 1_u8..=100,
        minimum in 1_u32..30,
    ) {
        let settings = CircuitBreaker { failure_rate_percent: percent, minimum_requests: minimum, ..policy() };
        let (mut breaker, mut now, mut events) = (Breaker::default(), 0, Vec::new());
        for (pause, failed) in steps {
            now += pause;
            events.push((now, failed));
            let reading = Reading { ended: 1, failed: u32::from(failed) };
            let transition = breaker.sweep(reading, Trial::default(), &settings, now);
            let (least, most) = bounds(&events, now, 10 * SECOND);
            let Some(transition) = transition else {
                let held = breaker.reading(now);
                prop_assert!((least..=most).contains(&held.ended), "{least} {} {most}", held.ended);
                prop_assert!(held.ended < minimum || held.failed * 100 < u32::from(percent) * held.ended);
                continue;
            };
            prop_assert_eq!(transition.to, Phase::Open);
            prop_assert!(most >= minimum);
            break;
        }
    }

    /// Whatever the order in which requests come, end and are swept: probes are never too many, and phases follow each
    /// other as they may.
    #[test]
    fn it_keeps_its_promises(steps in prop::collection::vec((0_u8..4, any::<prop::sample::Index>()), 1..400)) {
        let circuit = circuit();
        let (mut now, mut held, mut phase): (Nanos, Vec<Permit>, Phase) = (0, Vec::new(), Phase::Closed);
        for (what, which) in steps {
            match what {
                0 => held.extend(circuit.enter()),
                1 if !held.is_empty() => held.swap_remove(which.index(held.len())).tell(&circuit, false),
                2 if !held.is_empty() => held.swap_remove(which.index(held.len())).tell(&circuit, which.index(3) > 0),
                3 if !held.is_empty() && which.index(4) == 0 => drop(held.swap_remove(which.index(held.len()))),
                _ => {
                    now += which.index(4) as u64 * SECOND;
                    if let Some(Transition { from, to, .. }) = circuit.sweep(now) {
                        prop_assert_eq!(from, phase);
                        prop_assert!(matches!(
                            (from, to),
                            (Phase::Closed | Phase::HalfOpen, Phase::Open)
                                | (Phase::Open, Phase::HalfOpen)
                                | (Phase::HalfOpen, Phase::Closed)
                        ));
                        phase = to;
                    }
                }
            }
            if phase == Phase::HalfOpen {
                let probes = held.iter().filter(|permit| is_current(&circuit, permit)).count();
                let Trial { succeeded, failed } = circuit.shared.gate.0.trial();
                prop_assert!(probes + usize::from(succeeded + failed) <= 3);
            }
            match phase {
                Phase::Closed => prop_assert!(circuit.enter().is_some()),
                Phase::Open => prop_assert!(circuit.enter().is_none()),
                Phase::HalfOpen => {}
            }
        }
    }
}
