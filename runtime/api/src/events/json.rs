//! The wire form of an event.

use tidemill_api_types as shapes;
use tidemill_store::records::{FeedEntry, FeedEvent};

/// Returns an event's name, and its shape.
#[must_use]
pub fn feed_event(entry: &FeedEntry) -> (&'static str, shapes::FeedEvent<'_>) {
    let (name, what) = match &entry.event {
        FeedEvent::Run { id, deployment, export, trigger, state, code, attempt, fuel, peak_memory, took_millis } => (
            "run",
            shapes::FeedDetail::Run {
                run: *id,
                deployment: deployment.as_str().into(),
                export: export.as_str().into(),
                trigger: trigger.as_str().into(),
                state: state.into(),
                code: code.as_deref().map(Into::into),
                attempt: *attempt,
                fuel: fuel.get(),
                peak_memory: *peak_memory,
                took_millis: *took_millis,
            },
        ),
        FeedEvent::Delivery { id, deployment, hook, change, run } => (
            "delivery",
            shapes::FeedDetail::Delivery {
                delivery: *id,
                deployment: deployment.as_str().into(),
                hook: hook.as_str().into(),
                change: change.into(),
                run: *run,
            },
        ),
        FeedEvent::Deployment { name, revision, change } => (
            "deployment",
            shapes::FeedDetail::Deployment {
                deployment: name.as_str().into(),
                revision: revision.get(),
                change: change.into(),
            },
        ),
        FeedEvent::Schedule { deployment, name, change, firings, note } => (
            "schedule",
            shapes::FeedDetail::Schedule {
                deployment: deployment.as_str().into(),
                schedule: name.as_str().into(),
                change: change.into(),
                firings: *firings,
                note: note.as_deref().map(Into::into),
            },
        ),
        FeedEvent::Subscription { deployment, name, topic, change, events, note } => (
            "subscription",
            shapes::FeedDetail::Subscription {
                deployment: deployment.as_str().into(),
                subscription: name.as_str().into(),
                topic: topic.as_ref().map(|topic| topic.as_str().into()),
                change: change.into(),
                events: *events,
                note: note.as_deref().map(Into::into),
            },
        ),
        FeedEvent::ClockSetBack { back_millis, schedules, until } => (
            "clock",
            shapes::FeedDetail::Clock { back_ms: *back_millis, schedules: *schedules, until: shapes::Time(*until) },
        ),
        FeedEvent::Posted { stream, run, currency, entries, net_revenue } => (
            "posted",
            shapes::FeedDetail::Posted {
                stream: stream.as_str().into(),
                run: *run,
                currency: currency.into(),
                entries: *entries,
                net_revenue: *net_revenue,
            },
        ),
        FeedEvent::Finding { kind, stream, change, findings, number } => (
            "finding",
            shapes::FeedDetail::Finding {
                finding: kind.into(),
                stream: stream.as_ref().map(|stream| stream.as_str().into()),
                change: change.into(),
                findings: *findings,
                number: *number,
            },
        ),
        FeedEvent::Breaker { deployment, revision, state, reason, until } => (
            "breaker",
            shapes::FeedDetail::Breaker {
                deployment: deployment.as_str().into(),
                revision: revision.get(),
                state: state.into(),
                reason: reason.into(),
                until: until.map(Into::into),
            },
        ),
        FeedEvent::Health { deployment, from, to, reason } => (
            "health",
            shapes::FeedDetail::Health {
                deployment: deployment.as_str().into(),
                from: from.as_str().into(),
                to: to.as_str().into(),
                reason: reason.into(),
            },
        ),
        FeedEvent::Incident { number, deployment, severity, phase, acknowledged, reason } => (
            "incident",
            shapes::FeedDetail::Incident {
                incident: *number,
                deployment: deployment.as_ref().map(|name| name.as_str().into()),
                severity: severity.as_str().into(),
                phase: phase.as_str().into(),
                acknowledged: *acknowledged,
                reason: reason.into(),
            },
        ),
        FeedEvent::Alert { id, rule, deployment, subject, severity, change, summary } => (
            "alert",
            shapes::FeedDetail::Alert {
                alert: id.to_string().into(),
                rule: rule.as_str().into(),
                deployment: deployment.as_ref().map(|name| name.as_str().into()),
                subject: (!subject.is_empty()).then(|| subject.into()),
                severity: severity.as_str().into(),
                change: change.into(),
                summary: summary.into(),
            },
        ),
        FeedEvent::Operator { deployment, revision, action, by, run, note, runs } => (
            "operator",
            shapes::FeedDetail::Operator {
                deployment: deployment.as_str().into(),
                revision: revision.get(),
                action: action.as_str().into(),
                by: by.as_str().into(),
                run: *run,
                note: note.into(),
                runs: *runs,
            },
        ),
        FeedEvent::Secret { name, version, change } => {
            ("secret", shapes::FeedDetail::Secret { secret: name.into(), version: *version, change: change.into() })
        }
        FeedEvent::State { deployment, key, change, bytes, before, after } => (
            "state",
            shapes::FeedDetail::State {
                deployment: deployment.as_str().into(),
                key: key.into(),
                change: change.into(),
                bytes: *bytes,
                before: *before,
                after: *after,
            },
        ),
    };
    (name, shapes::FeedEvent { at: entry.at.into(), what })
}
