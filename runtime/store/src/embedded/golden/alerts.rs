//! A value of each type about alerts that is encoded as a record, and a session that writes each
//! table of alerts.

use tidemill_core::alerts::{
    Acknowledgement, Alert, AlertKey, AlertSeverity, AlertState, AlertStep, NoticeKind, Notification,
    NotificationState, ServiceCounts, ServiceHistory, Silence, SilenceMatcher,
};
use tidemill_core::{AlertId, DeploymentName, NotificationId, SilenceId};

use super::at;
use super::records::Rows;
use crate::Store;
use crate::embedded::tables::{ALERTS, FEED, NOTIFICATIONS, OPEN_ALERTS, SERVICE_HISTORY, SILENCES};
use crate::records::{AlertCommand, AlertCommit, FeedEvent};

fn key(deployment: &str) -> AlertKey {
    let deployment: Option<DeploymentName> = Some(deployment.parse().unwrap());
    AlertKey { rule: "unhealthy".parse().unwrap(), deployment, subject: "7".to_owned() }
}

fn alert(number: u128, deployment: &str) -> Alert {
    let labels = vec![("team".to_owned(), "shop".to_owned())];
    Alert::new(AlertId::new(at(1), number), key(deployment), AlertSeverity::Page, labels, "it is down", at(0), at(1))
}

fn acknowledgement() -> Acknowledgement {
    Acknowledgement { at: at(5), actor: "ann".to_owned(), note: "on it".to_owned() }
}

fn silence() -> Silence {
    let matcher = SilenceMatcher {
        rule: Some("unhealthy".parse().unwrap()),
        deployment: Some("team-*".to_owned()),
        severity: Some(AlertSeverity::Ticket),
    };
    let (note, actor) = ("moving".to_owned(), "ann".to_owned());
    Silence { id: SilenceId::new(at(1), 1), matcher, created_at: at(1), ends_at: at(300), note, actor }
}

fn history() -> ServiceHistory {
    let mut history = ServiceHistory::default();
    history.add(ServiceCounts { attempts: 300, failed: 2, slow: 1 }, at(90_000));
    history
}

pub(super) fn alerts(rows: &mut Rows) {
    rows.add(OPEN_ALERTS, "id of an alert", &alert(1, "shop").id);
    let all = Alert {
        announced_at: Some(at(2)),
        repeated_at: Some(at(3)),
        escalations: 1,
        channels: vec!["team".parse().unwrap()],
        ..alert(1, "shop")
    };
    let states = [
        AlertState::Firing,
        AlertState::Acknowledged(acknowledgement()),
        AlertState::Resolved { at: at(9), acknowledgement: Some(acknowledgement()) },
    ];
    for state in states {
        rows.add(ALERTS, &format!("alert: {}", state.as_str()), &Alert { state, ..all.clone() });
    }
    let states =
        [NotificationState::Waiting, NotificationState::Sent { at: at(6) }, NotificationState::Dead { at: at(7) }];
    for (kind, state) in NoticeKind::ALL.into_iter().zip(states.iter().chain(&states).cloned()) {
        let notification = Notification {
            id: NotificationId::new(at(2), 1),
            alert: all.id,
            channel: "team".parse().unwrap(),
            kind,
            key: all.key.clone(),
            severity: all.severity,
            labels: all.labels.clone(),
            summary: all.summary.clone(),
            fired_at: all.fired_at,
            created_at: at(2),
            tries: 3,
            error: "no answer".to_owned(),
            state,
        };
        rows.add(NOTIFICATIONS, &format!("notification: {}", kind.as_str()), &notification);
    }
    rows.add(FEED, "feed event of an alert", &(at(1), event()));
    rows.add(SILENCES, "silence", &silence());
    rows.add(SERVICE_HISTORY, "attempts of a deployment", &history());
}

fn event() -> FeedEvent {
    let Alert { id, key, severity, summary, .. } = alert(1, "shop");
    let AlertKey { rule, deployment, subject } = key;
    FeedEvent::Alert { id, rule, deployment, subject, severity, change: "firing".to_owned(), summary }
}

/// Opens two alerts, one of which is over.
pub(super) async fn work(store: &dyn Store) {
    let fire = |number, deployment| AlertCommit {
        change: AlertCommand::Fire {
            alert: Box::new(alert(number, deployment)),
            announcement: Some(AlertStep::Announce { at: at(1), channels: vec!["team".parse().unwrap()] }),
        },
        random: number * 10,
    };
    let fired = store.change_alerts(vec![fire(1, "shop"), fire(2, "uptime")], at(1)).await.unwrap();
    let resolve = AlertCommand::Step { id: fired[1].id, step: AlertStep::Resolve { at: at(4) } };
    store.change_alerts(vec![AlertCommit { change: resolve, random: 30 }], at(4)).await.unwrap();
    store.acknowledge_alert(fired[0].id, acknowledgement()).await.unwrap();
    store.put_silence(silence()).await.unwrap();
    store.put_service_histories(vec![("shop".parse().unwrap(), history())]).await.unwrap();
}
