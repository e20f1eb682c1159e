//! Tests of precedence between the layers, and of refused values.

use proptest::prelude::*;

use super::*;

fn read(flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str) -> Result<Settings, CliError> {
    let file = parse_file(file).map_err(|(why, fix)| CliError::usage(why, fix))?;
    let environment =
        |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let flags = flags.iter().copied().collect();
    Settings::check(&SettingLayers { flags, environment: &environment, file, path: PathBuf::from(FILE) })
}

fn origin(settings: &Settings, setting: &str) -> String {
    settings.shown.iter().find(|shown| shown.setting == setting).unwrap().origin.clone()
}

#[test]
fn flags_override_the_environment_the_file_and_the_defaults() {
    let file = "addr = '127.0.0.1:1'\nconcurrency = 7\nnode = 'file'";
    let settings =
        read(&[("addr", "127.0.0.1:3")], &[("TIDEMILL_ADDR", "127.0.0.1:2"), ("TIDEMILL_NODE", "env")], file).unwrap();
    assert_eq!((settings.addr.port(), settings.node.as_str(), settings.concurrency), (3, "env", 7));
    assert_eq!(origin(&settings, "addr"), "--addr");
    assert_eq!(origin(&settings, "node"), "TIDEMILL_NODE");
    assert_eq!(origin(&settings, "concurrency"), FILE);
    assert_eq!(origin(&settings, "shutdown"), "default");
}

#[test]
fn a_token_is_required_beyond_loopback() {
    let token = [("TIDEMILL_TOKEN", "0123456789abcdef")];
    for open in ["0.0.0.0:7077", "[::]:7077", "10.0.0.1:80"] {
        let error = read(&[("addr", open)], &[], "").unwrap().require_token_if_exposed().unwrap_err();
        assert!(error.exit_code() == 2 && error.fix().unwrap().contains("openssl rand"), "{open}");
        assert!(read(&[("addr", open)], &token, "").unwrap().require_token_if_exposed().is_ok());
    }
    for closed in ["127.0.0.1:7077", "[::1]:7077", "127.3.2.1:80"] {
        assert!(read(&[("addr", closed)], &[], "").unwrap().require_token_if_exposed().is_ok());
    }
}

#[test]
fn a_token_is_long_and_never_shown() {
    let settings = read(&[], &[("TIDEMILL_TOKEN", "0123456789abcdef")], "").unwrap();
    assert!(!format!("{settings:?}").contains("0123456789abcdef"));
    assert!(read(&[], &[("TIDEMILL_TOKEN", "short")], "").is_err());
    assert!(read(&[], &[], "token = '0123456789abcdef'").is_err());
}

#[test]
fn a_master_key_has_one_source_and_is_never_shown() {
    let key = ("TIDEMILL_MASTER_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    let command = ("TIDEMILL_MASTER_KEY_COMMAND", "/usr/bin/print-key --with argument");
    let settings = read(&[], &[key, ("TIDEMILL_MASTER_KEY_OLD_COMMAND", command.1)], "").unwrap();
    assert!(settings.master_key.current.is_some() && settings.master_key.old.is_some());
    let shown = format!("{settings:?}");
    assert!(!shown.contains("BwcHBwc") && !shown.contains("--with"), "{shown}");
    assert_eq!(read(&[], &[], "").unwrap().master_key.current, None);
    for refused in [
        read(&[], &[key, command], ""),
        read(&[], &[("TIDEMILL_MASTER_KEY_OLD", key.1)], ""),
        read(&[], &[], &format!("master_key = '{}'", key.1)),
        read(&[], &[key], &format!("master_key_old = '{}'", key.1)),
    ] {
        let error = refused.unwrap_err();
        assert!(error.exit_code() == 2 && !format!("{error:?}").contains("BwcHBwc"), "{error:?}");
    }
    assert!(read(&[], &[], "master_key_file = '/run/key'").unwrap().master_key.current.is_some());
}

#[test]
fn a_wrong_value_is_refused_with_its_origin() {
    for (key, value) in [
        ("concurrency", "many"),
        ("concurrency", "0"),
        ("memory_max", "5GiB"),
        ("memory_max", "1KiB"),
        ("shutdown", "2 days"),
        ("scrub_every", "often"),
        ("scrub_every", "1s"),
        ("keep_waiting", "a while"),
        ("findings", "ignore"),
        ("retention", "5s"),
        ("quotas", "disk=1"),
        ("addr", "localhost"),
        ("log_format", "xml"),
        ("egress_allow", "example.com"),
        ("egress_roots", "/nowhere/roots.pem"),
        ("units", "btc:8"),
        ("zoneinfo", "/nowhere"),
        ("paypal_certs", "/nowhere"),
    ] {
        let error = read(&[], &[], &format!("{key} = '{value}'")).unwrap_err();
        assert!(error.to_string().contains(FILE) && error.exit_code() == 2, "{error}");
    }
}

#[test]
fn the_scrub_interval_is_a_day_a_given_time_or_never() {
    let every = |file: &str| read(&[], &[], file).unwrap().scrub_every.map(|every| every.as_secs());
    assert_eq!((every(""), every("scrub_every = '12h'")), (Some(86_400), Some(43_200)));
    assert_eq!((every("scrub_every = 'never'"), every("scrub_every = 0")), (None, None));
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_name() {
    let error = read(&[], &[], "adr = 'x'").unwrap_err();
    assert!(error.fix().unwrap().starts_with("did you mean `addr`?"), "{error:?}");
}

#[test]
fn lists_are_written_either_way() {
    let settings = read(
        &[("egress-deny", "https://a.com, https://b.com")],
        &[],
        "units = ['BTC:8', 'POINTS:0']\negress_private = 'all'",
    )
    .unwrap();
    assert_eq!((settings.egress.deny.len(), settings.units.len(), settings.egress.allow_private), (2, 2, true));
}

proptest! {
    #[test]
    fn any_text_is_settings_or_refused(text in "\\PC{0,200}|([a-z_]{1,12} ?= ?(\"[^\"\\\\]{0,20}\"|[0-9]{1,20}|\\[\\])\n){0,5}") {
        let _ = read(&[], &[], &text);
    }
}
