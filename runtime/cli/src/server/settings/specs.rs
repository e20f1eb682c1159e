//! The list of settings, and the flags that clap makes of them.

/// A setting: its name on the command line and in the file (there with `_`), and its default. The
/// variable of `egress-allow` is `TIDEMILL_EGRESS_ALLOW`.
pub(super) struct SettingSpec {
    pub(super) key: &'static str,
    pub(super) default: &'static str,
    /// The name of the value, and the help; `None` if these commands have no such flag.
    pub(super) flag: Option<(&'static str, &'static str)>,
}

impl SettingSpec {
    pub(super) fn variable(&self) -> String {
        format!("TIDEMILL_{}", self.key.to_ascii_uppercase().replace('-', "_"))
    }

    pub(super) fn arg(&self) -> Option<clap::Arg> {
        let (value, help) = self.flag?;
        let default = match (self.key, self.default) {
            ("zoneinfo", _) => " [default: the system's]".to_owned(),
            (_, "") => String::new(),
            (_, default) => format!(" [default: {default}]"),
        };
        let help = format!("{help} [env: {}]{default}", self.variable());
        Some(clap::Arg::new(self.key).long(self.key).value_name(value).help(help))
    }
}

/// Every setting, in display order.
pub(super) const SPECS: [SettingSpec; 33] = [
    SettingSpec { key: "addr", default: "127.0.0.1:7077", flag: Some(("IP:PORT", "Address to listen on")) },
    SettingSpec { key: "data", default: "./tidemill-data", flag: Some(("DIR", "Data folder")) },
    SettingSpec { key: "token", default: "", flag: None },
    SettingSpec { key: "token-file", default: "", flag: None },
    SettingSpec { key: "master-key", default: "", flag: None },
    SettingSpec { key: "master-key-file", default: "", flag: None },
    SettingSpec { key: "master-key-command", default: "", flag: None },
    SettingSpec { key: "master-key-old", default: "", flag: None },
    SettingSpec { key: "master-key-old-file", default: "", flag: None },
    SettingSpec { key: "master-key-old-command", default: "", flag: None },
    SettingSpec { key: "node", default: "node-1", flag: Some(("NAME", "Name of this host among nodes")) },
    SettingSpec { key: "concurrency", default: "256", flag: Some(("N", "Maximum number of running runs")) },
    SettingSpec {
        key: "memory-max",
        default: "1GiB",
        flag: Some(("SIZE", "Maximum memory that a deployment may allow each run")),
    },
    SettingSpec { key: "shutdown", default: "25s", flag: Some(("TIME", "Grace period for running runs at shutdown")) },
    SettingSpec {
        key: "scrub-every",
        default: "1d",
        flag: Some(("TIME", "Interval between scrubs, which read and verify all stored data, or never")),
    },
    SettingSpec { key: "keep-waiting", default: "10s", flag: Some(("TIME", "How long a waiting run stays in memory")) },
    SettingSpec {
        key: "findings",
        default: "report",
        flag: Some(("EFFECT", "What open findings about the ledger do to the host's health: report or degrade")),
    },
    SettingSpec {
        key: "healing",
        default: "act",
        flag: Some(("MODE", "What the host does about unhealthy deployments: act, advise or off")),
    },
    SettingSpec {
        key: "retention",
        default: "30d",
        flag: Some(("TIME", "How long ended runs and operations are kept, or never to delete them")),
    },
    SettingSpec {
        key: "event-retention",
        default: "7d",
        flag: Some(("TIME", "How long events are kept in their topics, or never to delete them")),
    },
    SettingSpec {
        key: "events-max",
        default: "100000",
        flag: Some(("N", "Maximum number of events kept per topic; the newest stay")),
    },
    SettingSpec {
        key: "quotas",
        default: "",
        flag: Some((
            "QUOTAS",
            "Storage quota of each deployment, e.g. runs=1000000,state=4GiB; also payloads, logs, events, topics",
        )),
    },
    SettingSpec {
        key: "log",
        default: "info",
        flag: Some(("FILTER", "Log filter, e.g. debug or tidemill_engine=debug,info")),
    },
    SettingSpec { key: "log-format", default: "text", flag: Some(("FORMAT", "Log format: text or json")) },
    SettingSpec {
        key: "egress-allow",
        default: "",
        flag: Some(("ORIGINS", "Origins that modules may reach, separated by commas; if left out, all public ones")),
    },
    SettingSpec { key: "egress-deny", default: "", flag: Some(("ORIGINS", "Origins that no module may reach")) },
    SettingSpec {
        key: "egress-private",
        default: "",
        flag: Some(("ORIGINS", "Origins that may have private or loopback addresses, or `all`")),
    },
    SettingSpec {
        key: "egress-roots",
        default: "",
        flag: Some(("FILE", "PEM file of certificate authorities to trust in addition to the machine's own")),
    },
    SettingSpec {
        key: "paypal-certs",
        default: "",
        flag: Some(("DIR", "Folder of PayPal's certificates, as NAME.pem; if left out, they are fetched from PayPal")),
    },
    SettingSpec {
        key: "alerts",
        default: "",
        flag: Some(("FILE", "TOML file of the rules, channels and routes of alerts; if left out, none is sent")),
    },
    SettingSpec {
        key: "policy",
        default: "",
        flag: Some(("FILE", "TOML file that limits what deployments may be granted and use; if left out, no limits")),
    },
    SettingSpec {
        key: "units",
        default: "",
        flag: Some(("UNITS", "Extra currency units and their decimal places, e.g. BTC:8")),
    },
    SettingSpec { key: "zoneinfo", default: "", flag: Some(("DIR", "Folder of zone data, e.g. /usr/share/zoneinfo")) },
];
