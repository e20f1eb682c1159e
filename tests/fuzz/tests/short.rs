//! A short run of every target, the same in every build.

use tidemill_fuzz::{run, targets};

/// Enough for each parser to accept and to reject inputs.
const ITERATIONS: u64 = 2_000;

#[test]
fn no_mutated_input_breaks_a_law() {
    for (target, _) in targets::all() {
        let report = run(target.as_ref(), 1, ITERATIONS);
        let report = report.unwrap_or_else(|finding| {
            panic!("{}: {} with {:?}", target.name(), finding.message, String::from_utf8_lossy(&finding.input))
        });
        assert_eq!(report.accepted + report.rejected, ITERATIONS, "{}", target.name());
        assert!(report.accepted > ITERATIONS / 200, "{} accepts too few inputs: {report:?}", target.name());
        assert!(report.rejected > ITERATIONS / 200, "{} rejects too few inputs: {report:?}", target.name());
    }
}

#[test]
fn every_seed_is_accepted() {
    for (target, _) in targets::all() {
        let seeds = target.seeds();
        assert!(!seeds.is_empty(), "{}", target.name());
        for seed in seeds {
            assert!(target.check(&seed), "{} rejects its seed {:?}", target.name(), String::from_utf8_lossy(&seed));
        }
    }
}
