//! The wire form of silences.

use tidemill_api_types as shapes;
use tidemill_core::alerts::Silence;

pub fn silence(silence: &Silence) -> shapes::Silence<'_> {
    let Silence { id, matcher, created_at, ends_at, note, actor } = silence;
    shapes::Silence {
        id: id.to_string().into(),
        rule: matcher.rule.as_ref().map(|rule| rule.as_str().into()),
        deployment: matcher.deployment.as_deref().map(Into::into),
        severity: matcher.severity.map(|severity| severity.as_str().into()),
        created: (*created_at).into(),
        ends: (*ends_at).into(),
        note: note.into(),
        actor: actor.into(),
    }
}
