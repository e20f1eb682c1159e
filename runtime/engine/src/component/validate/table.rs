//! The names that a component can import: read from `wit/` for the contract, and listed for WASI.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The contract's package.
pub(crate) const PACKAGE: &str = "tidemill:guest";
/// The contract's version.
pub(crate) const VERSION: &str = "0.1.0";
/// The linked version of WASI; every other 0.2 version is compatible.
pub(crate) const WASI_VERSION: &str = "0.2";

const HOST: &str = include_str!("../../../../../wit/host.wit");

/// The functions of one interface, each with its signature in WIT.
type FunctionTable = BTreeMap<&'static str, &'static str>;

/// The interfaces that can be imported, each with its functions.
pub(crate) static CONTRACT: LazyLock<BTreeMap<&str, FunctionTable>> = LazyLock::new(|| {
    let mut table = functions(HOST);
    table.insert("types", FunctionTable::new());
    table
});

/// The WASI interfaces that are linked.
pub(crate) const WASI: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Parses the functions of each interface in the contract's WIT text, which has one interface or
/// function on each line.
fn functions(wit: &'static str) -> BTreeMap<&'static str, FunctionTable> {
    let mut table: BTreeMap<&str, FunctionTable> = BTreeMap::new();
    let mut interface = None;
    for line in wit.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("interface ").and_then(|rest| rest.strip_suffix(" {")) {
            interface = Some(name);
            table.entry(name).or_default();
        } else if let (Some(interface), Some((name, _))) = (interface, line.split_once(": func(")) {
            table.entry(interface).or_default().insert(name.trim_start_matches('%'), line.trim_end_matches(';'));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_the_contract() {
        let names: Vec<_> = CONTRACT.keys().copied().collect();
        let expected = [
            "clock", "context", "durable", "events", "http", "ledger", "log", "metrics", "operator", "random",
            "secrets", "state", "types",
        ];
        assert_eq!(names, expected);
        assert!(CONTRACT["state"].contains_key("compare-and-set"));
        assert_eq!(CONTRACT["clock"]["now"], "now: func() -> timestamp");
        assert!(HOST.lines().all(|line| !line.contains(": func(") || line.ends_with(';')), "a function a line");
        assert_eq!(CONTRACT["durable"].len(), 10);
        assert_eq!(CONTRACT.values().map(FunctionTable::len).sum::<usize>(), 48);
    }
}
