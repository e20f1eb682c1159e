//! Laws of the book: how often people are notified, of what, and when it is over.

use proptest::prelude::*;

use super::*;
use crate::ids::{AlertId, SilenceId};

const MINUTE: u64 = 60_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn config() -> AlertConfig {
    let text = "repeat = \"4h\"\n[channels.a]\nkind = \"slack\"\nurl_secret = \"s\"\n\
        [routes.page]\nchannels = [\"a\"]\n[routes.ticket]\nchannels = [\"a\"]";
    AlertConfig::parse_toml(text).unwrap()
}

fn shop() -> DeploymentName {
    "shop".parse().unwrap()
}

fn holding(rule: &str, millis: u64) -> HoldingCondition {
    let severity = if rule == "degraded" { AlertSeverity::Ticket } else { AlertSeverity::Page };
    let key = AlertKey { rule: rule.parse().unwrap(), deployment: Some(shop()), subject: String::new() };
    HoldingCondition { key, severity, summary: "it fails".to_owned(), since: at(millis) }
}

fn event(key: &str, severity: AlertSeverity, state: EventState, millis: u64) -> AlertEvent {
    let summary = "an incident".to_owned();
    AlertEvent { key: key.to_owned(), deployment: Some(shop()), severity, state, summary, at: at(millis) }
}

/// A host that stores nothing: it takes every step that is due, and remembers what was sent.
struct Desk {
    book: AlertBook,
    config: AlertConfig,
    sent: Vec<(u64, NoticeKind, AlertKey)>,
    all: Vec<Alert>,
    serial: u128,
}

impl Desk {
    fn new() -> Self {
        Self { book: AlertBook::default(), config: config(), sent: vec![], all: vec![], serial: 0 }
    }

    /// Observes the deployment and takes what is due.
    fn observe(&mut self, millis: u64, holding: Vec<HoldingCondition>) {
        self.book.observe(ObservedScope::Deployment(&shop()), holding, &self.config, at(millis));
        self.tick(millis);
    }

    fn report(&mut self, event: &AlertEvent, millis: u64) {
        self.book.report(event, &self.config);
        self.tick(millis);
    }

    /// Takes what is due, and returns when something is due next.
    fn tick(&mut self, millis: u64) -> Option<Timestamp> {
        for _ in 0..100 {
            let plan = self.book.plan(&self.config, at(millis), 100);
            if plan.changes.is_empty() {
                assert!(plan.next.is_none_or(|next| next > at(millis)), "{:?}", plan.next);
                return plan.next;
            }
            for change in plan.changes {
                self.take(millis, change);
            }
        }
        panic!("changes are due without end");
    }

    fn take(&mut self, millis: u64, change: AlertChange) {
        let (alert, step) = match change {
            AlertChange::Fire { holding, labels, announcement } => {
                self.serial += 1;
                let id = AlertId::new(at(millis), self.serial);
                let HoldingCondition { key, severity, summary, since } = holding;
                (Alert::new(id, key, severity, labels, &summary, since, at(millis)), announcement)
            }
            AlertChange::Step { id, step } => {
                let alert = self.book.alerts().find(|alert| alert.id == id).unwrap().clone();
                (alert, Some(step))
            }
        };
        let alert = match step {
            Some(step) => {
                let AlertTransition { alert, notice } = alert.next(step).unwrap();
                self.sent.extend(notice.map(|notice| (millis, notice.kind, alert.key.clone())));
                alert
            }
            None => alert,
        };
        self.all.retain(|known| known.id != alert.id);
        self.all.push(alert.clone());
        self.book.adopt(alert);
    }

    fn kinds(&self) -> Vec<(u64, NoticeKind)> {
        self.sent.iter().map(|(millis, kind, _)| (*millis, *kind)).collect()
    }
}

#[test]
fn a_text_is_cut_at_a_character_and_has_no_control_characters() {
    assert_eq!(one_line("a\nb\u{7}c", 10), "a b c");
    assert_eq!(one_line(&"é".repeat(10), 5), "éé");
    assert_eq!(one_line("", 5), "");
}

#[test]
fn a_severity_is_read_from_its_name() {
    for severity in AlertSeverity::ALL {
        assert_eq!(severity.as_str().parse(), Ok(severity));
    }
    assert_eq!("urgent".parse::<AlertSeverity>(), Err(UnknownAlertSeverity));
}

#[test]
fn a_storm_of_failures_sends_one_notification_and_one_when_it_is_over() {
    let mut desk = Desk::new();
    for failure in 0..10_000 {
        desk.observe(failure * 6, vec![holding("unhealthy", 0)]);
    }
    desk.observe(MINUTE, vec![]);
    desk.tick(2 * MINUTE);
    assert_eq!(desk.kinds(), [(0, NoticeKind::Firing), (2 * MINUTE, NoticeKind::Resolved)]);
}

#[test]
fn a_storm_of_reports_under_one_key_is_one_alert() {
    let mut desk = Desk::new();
    for number in 0..10_000 {
        desk.report(&event("7", AlertSeverity::Ticket, EventState::Firing, number), number);
    }
    desk.report(&event("8", AlertSeverity::Ticket, EventState::Firing, 10_000), 10_000);
    desk.report(&event("7", AlertSeverity::Page, EventState::Firing, 10_001), 10_001);
    desk.report(&event("7", AlertSeverity::Page, EventState::Resolved, 10_002), 10_002);
    let kinds: Vec<_> = desk.sent.iter().map(|(_, kind, key)| (*kind, key.subject.as_str())).collect();
    let expected =
        [(NoticeKind::Firing, "7"), (NoticeKind::Firing, "8"), (NoticeKind::Firing, "7"), (NoticeKind::Resolved, "7")];
    assert_eq!(kinds, expected, "an event that is more urgent is announced again");
}

#[test]
fn a_condition_that_comes_back_within_the_quiet_time_is_the_same_alert() {
    let mut desk = Desk::new();
    for minute in 0..20 {
        desk.observe(minute * MINUTE, vec![holding("unhealthy", minute * MINUTE)]);
        desk.observe(minute * MINUTE + 15_000, vec![]);
    }
    desk.tick(30 * MINUTE);
    assert_eq!(desk.kinds(), [(0, NoticeKind::Firing), (30 * MINUTE, NoticeKind::Resolved)]);
}

#[test]
fn a_condition_must_hold_for_the_duration_of_its_rule() {
    let mut desk = Desk::new();
    desk.observe(0, vec![holding("degraded", 0)]);
    assert_eq!(desk.book.pending().count(), 1);
    assert_eq!(desk.tick(14 * MINUTE), Some(at(15 * MINUTE)));
    desk.observe(14 * MINUTE, vec![]);
    desk.observe(15 * MINUTE, vec![holding("degraded", 15 * MINUTE)]);
    desk.observe(29 * MINUTE, vec![holding("degraded", 15 * MINUTE)]);
    assert_eq!(desk.kinds(), []);
    desk.tick(30 * MINUTE);
    assert_eq!(desk.kinds(), [(30 * MINUTE, NoticeKind::Firing)]);
    assert_eq!(desk.book.pending().count(), 0);
}

#[test]
fn a_silence_delays_the_announcement_and_never_hides_the_end() {
    let mut desk = Desk::new();
    let matcher = SilenceMatcher { deployment: Some("sh*".to_owned()), ..SilenceMatcher::default() };
    let silence = |number, ends_at| Silence {
        id: SilenceId::new(at(0), number),
        matcher: matcher.clone(),
        created_at: at(0),
        ends_at,
        note: String::new(),
        actor: String::new(),
    };
    desk.book.add_silence(silence(1, at(10 * MINUTE)));
    desk.observe(0, vec![holding("unhealthy", 0)]);
    assert_eq!(desk.tick(9 * MINUTE), Some(at(10 * MINUTE)));
    assert_eq!((desk.kinds(), desk.book.alerts().count()), (vec![], 1), "it fires all the same");
    desk.tick(10 * MINUTE);
    assert_eq!(desk.kinds(), [(10 * MINUTE, NoticeKind::Firing)]);
    desk.book.add_silence(silence(2, at(90 * MINUTE)));
    desk.observe(20 * MINUTE, vec![]);
    desk.tick(21 * MINUTE);
    assert_eq!(desk.kinds().last(), Some(&(21 * MINUTE, NoticeKind::Resolved)));
    desk.observe(30 * MINUTE, vec![holding("unhealthy", 30 * MINUTE)]);
    desk.observe(31 * MINUTE, vec![]);
    desk.tick(40 * MINUTE);
    assert_eq!(desk.sent.len(), 2, "an alert that began and ended in silence is not announced");
    desk.observe(50 * MINUTE, vec![holding("unhealthy", 50 * MINUTE)]);
    desk.book.remove_silence(SilenceId::new(at(0), 2));
    desk.tick(51 * MINUTE);
    assert_eq!(desk.kinds().last(), Some(&(51 * MINUTE, NoticeKind::Firing)));
}

#[test]
fn an_observation_ends_nothing_that_another_part_reports() {
    let mut desk = Desk::new();
    desk.report(&event("7", AlertSeverity::Page, EventState::Firing, 0), 0);
    desk.observe(MINUTE, vec![]);
    desk.observe(100 * MINUTE, vec![]);
    assert_eq!(desk.kinds(), [(0, NoticeKind::Firing)]);
    desk.report(&event("7", AlertSeverity::Page, EventState::Resolved, 0), 101 * MINUTE);
    assert_eq!(desk.kinds().last(), Some(&(101 * MINUTE, NoticeKind::Resolved)));
}

#[test]
fn an_alert_outlives_a_restart_and_ends_when_its_condition_is_not_found() {
    let mut desk = Desk::new();
    desk.observe(0, vec![holding("unhealthy", 0)]);
    desk.report(&event("7", AlertSeverity::Page, EventState::Firing, 0), 0);
    desk.book = AlertBook::new(desk.all.clone(), vec![]);
    desk.tick(10 * MINUTE);
    desk.observe(10 * MINUTE, vec![holding("unhealthy", 10 * MINUTE)]);
    assert_eq!(desk.sent.len(), 2, "nothing is announced again");
    desk.book = AlertBook::new(desk.all.clone(), vec![]);
    desk.observe(20 * MINUTE, vec![]);
    desk.book.report_all("other-", &[], &desk.config, at(20 * MINUTE));
    desk.tick(21 * MINUTE);
    assert_eq!(desk.book.alerts().count(), 1, "another source ends nothing");
    desk.book.report_all("7", &[], &desk.config, at(21 * MINUTE));
    desk.tick(22 * MINUTE);
    assert_eq!(desk.sent.len(), 4);
    assert!(desk.sent[2..].iter().all(|(_, kind, _)| *kind == NoticeKind::Resolved));
    assert!(desk.all.iter().all(|alert| alert.began_at == at(0)));
}

#[test]
fn what_is_about_a_deleted_deployment_or_rule_is_over_at_once() {
    let mut desk = Desk::new();
    desk.observe(0, vec![holding("unhealthy", 0), holding("degraded", 0)]);
    desk.book.prune(|_| true, &desk.config);
    desk.tick(1);
    assert_eq!(desk.sent.len(), 1);
    desk.book.prune(|_| false, &desk.config);
    desk.tick(2);
    assert_eq!(desk.kinds(), [(0, NoticeKind::Firing), (2, NoticeKind::Resolved)]);
    assert_eq!((desk.book.pending().count(), desk.book.alerts().count()), (0, 0));
    desk.observe(10, vec![holding("unhealthy", 10)]);
    desk.config.rules.get_mut("unhealthy").unwrap().enabled = false;
    desk.book.prune(|_| true, &desk.config);
    desk.tick(11);
    assert_eq!(desk.kinds().last(), Some(&(11, NoticeKind::Resolved)));
}

#[test]
fn alerts_wait_for_a_channel_that_the_operator_adds() {
    let mut desk = Desk::new();
    desk.config = AlertConfig::default();
    desk.observe(0, vec![holding("unhealthy", 0)]);
    assert_eq!((desk.tick(MINUTE), desk.book.alerts().count()), (None, 1));
    desk.config = config();
    desk.tick(2 * MINUTE);
    assert_eq!(desk.kinds(), [(2 * MINUTE, NoticeKind::Firing)]);
}

#[test]
fn the_number_of_conditions_is_bounded() {
    let mut desk = Desk::new();
    let event = |number: usize| event(&number.to_string(), AlertSeverity::Page, EventState::Firing, 0);
    for number in 0..CONDITIONS_MAX + 5 {
        desk.book.report(&event(number), &desk.config);
    }
    assert_eq!((desk.book.pending().count(), desk.book.take_left_out()), (CONDITIONS_MAX, 5));
    let plan = desk.book.plan(&desk.config, at(0), 100);
    assert_eq!((plan.changes.len(), plan.next.is_some()), (100, true));
}

/// Returns when people are notified, from the times at which a condition held, by a simulation
/// without keys, books and steps.
fn simulated(seen: &[(u64, bool)], duration: u64, quiet: u64) -> Vec<(u64, NoticeKind)> {
    let (mut sent, mut since, mut absent, mut fires) = (Vec::new(), None, None, false);
    for (millis, holds) in seen {
        if *holds {
            since.get_or_insert(*millis);
            absent = None;
        } else {
            absent = absent.or(since.map(|_| *millis));
        }
        let over = absent.is_some_and(|absent| !fires || absent + quiet <= *millis);
        if over {
            if fires {
                sent.push((*millis, NoticeKind::Resolved));
            }
            (since, absent, fires) = (None, None, false);
        } else if !fires && absent.is_none() && since.is_some_and(|since| since + duration <= *millis) {
            sent.push((*millis, NoticeKind::Firing));
            fires = true;
        }
    }
    sent
}

proptest! {
    #[test]
    fn people_are_notified_when_a_simulation_does(
        steps in prop::collection::vec((1u64..200_000, any::<bool>()), 0..80),
        duration in prop_oneof![Just(0), 1u64..400_000],
        quiet in prop_oneof![Just(0), 1u64..400_000],
    ) {
        let mut desk = Desk::new();
        let rule = desk.config.rules.get_mut("unhealthy").unwrap();
        (rule.duration_millis, rule.quiet_millis) = (duration, quiet);
        let (mut millis, mut seen) = (0, Vec::new());
        for (pause, holds) in steps {
            millis += pause;
            seen.push((millis, holds));
            desk.observe(millis, if holds { vec![holding("unhealthy", millis)] } else { vec![] });
        }
        // A condition that comes back is observed before the end of the quiet time is planned.
        prop_assert_eq!(desk.kinds(), simulated(&seen, duration, quiet));
    }

    #[test]
    fn each_announced_alert_ends_with_one_notice_in_any_order_of_events(
        list in prop::collection::vec((0u64..300_000, 0u8..4, any::<bool>(), any::<bool>()), 0..60),
    ) {
        let mut desk = Desk::new();
        let mut millis = 0;
        for (pause, key, urgent, fires) in list {
            millis += pause;
            let severity = if urgent { AlertSeverity::Page } else { AlertSeverity::Ticket };
            let state = if fires { EventState::Firing } else { EventState::Resolved };
            desk.report(&event(&key.to_string(), severity, state, millis), millis);
            let mut open: Vec<_> = desk.book.alerts().map(|alert| alert.key.clone()).collect();
            open.sort();
            open.dedup();
            prop_assert_eq!(open.len(), desk.book.alerts().count(), "one alert for each key");
        }
        let count = |kind| desk.sent.iter().filter(|(_, sent, _)| *sent == kind).count();
        let ended = desk.all.iter().filter(|alert| !alert.is_open()).count();
        prop_assert_eq!(count(NoticeKind::Resolved), ended);
        prop_assert!(count(NoticeKind::Firing) >= desk.all.len());
    }
}
