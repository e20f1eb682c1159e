//! The example of the module's documentation, and cases with a name.

use super::super::{
    AccountChange, AccountEntry, BalanceEffect, CreditDecision, GrantPart, GrantTerms, InvalidGrant, PartSource,
};
use super::{Account, at, terms};

fn grant(id: &str, minor_units: i64) -> GrantPart {
    GrantPart::of_grant(id, minor_units)
}

#[test]
fn the_example_holds_step_by_step() {
    let mut account = Account::default();
    let p =
        AccountEntry { terms: terms(r#"{"grant":{"expires_at":10}}"#, 1), ..account.entry("P", "promotion", 500, 1) };
    account.apply(&AccountChange::Post(p), 1);
    let a = account.entry("A", "prepayment", 1_000, 1);
    account.apply(&AccountChange::Post(a), 1);
    let b =
        AccountEntry { terms: terms(r#"{"grant":{"priority":50}}"#, 1), ..account.entry("B", "prepayment", 300, 1) };
    account.apply(&AccountChange::Post(b), 1);
    assert_eq!(account.available(1), 1_800);

    let draw = account.entry("d1", "drawdown", 600, 5);
    assert_eq!(account.decide(&draw, 0, false, 5), CreditDecision::Covered(600));
    assert_eq!(account.apply(&AccountChange::Post(draw), 5), [grant("B", 300), grant("P", 300)]);
    assert_eq!(account.available(5), 1_200);
    assert_eq!(account.balance(5).next_expiry, Some(at(10)));

    assert_eq!(account.available(10), 1_000, "before the timer");
    assert!(account.grant("P").lapses(at(10)) && !account.grant("P").lapses(at(9)));
    let lapse = AccountEntry {
        effect: BalanceEffect::Lapse,
        of: Some("P"),
        ..account.entry("P/expired", "promotion-reversal", 200, 10)
    };
    assert_eq!(account.apply(&AccountChange::Post(lapse), 10), [grant("P", 200)]);
    assert_eq!(account.available(10), 1_000, "after the timer");

    let hold = account.entry("r1", "drawdown", 400, 11);
    assert_eq!(account.decide(&hold, 0, false, 11), CreditDecision::Covered(400));
    assert_eq!(account.apply(&AccountChange::Reserve(hold, None), 11), [grant("A", 400)]);
    assert_eq!((account.available(11), account.balance(11).held), (600, 400));
    let draw = account.entry("d2", "drawdown", 700, 11);
    assert_eq!(account.decide(&draw, 0, false, 11), CreditDecision::Short { available: 600, floor: 0, needed: 700 });
    assert_eq!(account.decide(&draw, 0, true, 11), CreditDecision::Covered(600));
    let draw = AccountEntry { minor_units: 600, ..draw };
    assert_eq!(account.apply(&AccountChange::Post(draw), 11), [grant("A", 600)]);
    assert_eq!(account.available(11), 0);

    let settle = account.entry("r1", "drawdown", 250, 11);
    assert_eq!(account.apply(&AccountChange::Settle(settle), 12), [grant("A", 250)]);
    assert_eq!((account.available(12), account.balance(12).held), (150, 0));

    let post = account.entry("d3", "drawdown", 200, 13);
    assert_eq!(account.apply(&AccountChange::Post(post), 13), [grant("A", 150), GrantPart::debt(50)]);
    assert_eq!((account.available(13), account.balance(13).debt), (-50, 50));

    let more = account.entry("C", "prepayment", 100, 14);
    let paid = GrantPart { source: PartSource::DebtOf("d3".to_owned()), minor_units: 50 };
    assert_eq!(account.apply(&AccountChange::Post(more), 14), [paid]);
    assert_eq!((account.available(14), account.balance(14).debt), (50, 0));
    assert_eq!(account.granted(), 50);
}

#[test]
fn a_reversal_returns_the_last_part_first_and_more_than_was_taken_is_a_grant() {
    let mut account = Account::default();
    for id in ["A", "B"] {
        let paid = account.entry(id, "prepayment", 100, 1);
        account.apply(&AccountChange::Post(paid), 1);
    }
    let used = account.entry("d", "drawdown", 250, 2);
    assert_eq!(account.apply(&AccountChange::Post(used), 2), [grant("A", 100), grant("B", 100), GrantPart::debt(50)]);
    let mut back = |id, minor_units| {
        let entry = AccountEntry { of: Some("d"), ..account.entry(id, "drawdown-reversal", minor_units, 3) };
        let parts = account.apply(&AccountChange::Post(entry), 3);
        (parts, account.available(3))
    };
    assert_eq!(back("x", 80), (vec![GrantPart::debt(50), grant("B", 30)], 30));
    assert_eq!(back("y", 200), (vec![grant("B", 70), grant("A", 100)], 230));
    assert_eq!(account.grant("y").left, 30);
}

#[test]
fn a_reversed_prepayment_takes_what_is_left_of_it_and_then_is_debt() {
    let mut account = Account::default();
    for (id, minor_units) in [("A", 100), ("B", 40)] {
        let paid = account.entry(id, "prepayment", minor_units, 1);
        account.apply(&AccountChange::Post(paid), 1);
    }
    let used = account.entry("d", "drawdown", 70, 2);
    account.apply(&AccountChange::Post(used), 2);
    let back = AccountEntry { of: Some("A"), ..account.entry("x", "prepayment-reversal", 100, 3) };
    assert_eq!(account.decide(&back, 0, false, 3), CreditDecision::Short { available: 70, floor: 0, needed: 100 });
    assert_eq!(account.decide(&back, -30, false, 3), CreditDecision::Covered(100));
    assert_eq!(account.apply(&AccountChange::Post(back), 3), [grant("A", 30), GrantPart::debt(70)]);
    assert_eq!(account.available(3), -30);
}

#[test]
fn a_credit_line_is_held_as_debt_and_a_grant_pays_it_in_between() {
    let mut account = Account::default();
    let hold = account.entry("r", "drawdown", 50, 1);
    assert_eq!(account.decide(&hold, -50, false, 1), CreditDecision::Covered(50));
    assert_eq!(account.apply(&AccountChange::Reserve(hold, Some(at(9))), 1), [GrantPart::debt(50)]);
    assert_eq!((account.available(1), account.balance(1).held), (-50, 50));
    let paid = account.entry("A", "prepayment", 30, 2);
    account.apply(&AccountChange::Post(paid), 2);
    assert_eq!((account.available(2), account.grant("A").held), (-20, 30));
    assert_eq!((account.available(9), account.balance(9).held), (30, 0), "the hold ends by itself");
    let draw = account.entry("d", "drawdown", 30, 9);
    assert_eq!(account.apply(&AccountChange::Post(draw), 9), [grant("A", 30)]);
    assert!(account.apply(&AccountChange::Release("r"), 9).is_empty(), "the timer is late");
}

#[test]
fn late_usage_draws_on_grants_of_its_own_time() {
    let mut account = Account::default();
    let paid = AccountEntry {
        terms: terms(r#"{"grant":{"expires_at":10}}"#, 1),
        late_usage_millis: 5,
        ..account.entry("A", "prepayment", 100, 1)
    };
    account.apply(&AccountChange::Post(paid), 1);
    let late = account.entry("d", "drawdown", 40, 9);
    assert_eq!(account.available(12), 0);
    assert_eq!(account.decide(&late, 0, false, 14), CreditDecision::Covered(40));
    assert_eq!(account.decide(&late, 0, false, 15), CreditDecision::Short { available: 0, floor: 0, needed: 40 });
    let later = account.entry("e", "drawdown", 40, 10);
    assert_eq!(account.decide(&later, 0, false, 12), CreditDecision::Short { available: 0, floor: 0, needed: 40 });
}

#[test]
fn terms_are_read_or_refused_by_name() {
    let read = |text| GrantTerms::read(text, at(5));
    let plain = GrantTerms { priority: 100, starts_at: at(5), expires_at: None };
    for none in ["{}", "[]", "1", r#"{"of":"x"}"#, r#"{"grant":{}}"#, r#"{"grant":{"expires_at":null}}"#] {
        assert_eq!(read(none), Ok(plain), "{none}");
    }
    assert_eq!(
        read(r#"{"grant":{"priority":0,"starts_at":7,"expires_at":8}}"#),
        Ok(GrantTerms { priority: 0, starts_at: at(7), expires_at: Some(at(8)) })
    );
    for (text, why) in [
        (r#"{"grant":1}"#, InvalidGrant::Object),
        (r#"{"grant":null}"#, InvalidGrant::Object),
        (r#"{"grant":{"prio":1}}"#, InvalidGrant::Member),
        (r#"{"grant":{"priority":256}}"#, InvalidGrant::Priority),
        (r#"{"grant":{"priority":-1}}"#, InvalidGrant::Priority),
        (r#"{"grant":{"priority":1.5}}"#, InvalidGrant::Priority),
        (r#"{"grant":{"priority":"1"}}"#, InvalidGrant::Priority),
        (r#"{"grant":{"starts_at":-1}}"#, InvalidGrant::Time),
        (r#"{"grant":{"expires_at":253402300800000}}"#, InvalidGrant::Time),
        (r#"{"grant":{"expires_at":5}}"#, InvalidGrant::NeverValid),
        (r#"{"grant":{"starts_at":9,"expires_at":8}}"#, InvalidGrant::NeverValid),
    ] {
        assert_eq!(read(text), Err(why), "{text}");
    }
}
