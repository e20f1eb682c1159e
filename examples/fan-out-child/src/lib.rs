//! One part of the work of `fan-out`: counts the primes in a range of numbers.

use serde::Deserialize;
use tidemill_sdk::{Result, Schema, bail};

/// The input of a run: the first number, and the number after the last.
#[derive(Deserialize, Schema)]
struct Span {
    from: u64,
    to: u64,
}

/// The maximum length of a range. A longer one would exceed the deployment's fuel.
const LONGEST: u64 = 10_000;

#[tidemill_sdk::workflow]
fn count_primes(span: Span) -> Result<u64> {
    if span.to < span.from || span.to - span.from > LONGEST {
        bail!("bad-span", "{} to {} is not a range of up to {LONGEST} numbers", span.from, span.to);
    }
    Ok((span.from..span.to).filter(|number| is_prime(*number)).count() as u64)
}

/// Tests by trial division, which is slow enough to distribute.
fn is_prime(number: u64) -> bool {
    number >= 2
        && (2_u64..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tidemill_sdk::testing::Harness;

    #[test]
    fn there_are_twenty_five_primes_below_a_hundred() {
        assert_eq!(*Harness::new().run(count_primes, json!({ "from": 0, "to": 100 })).succeeded(), 25);
    }

    #[test]
    fn a_span_that_is_none_is_refused() {
        for span in [json!({ "from": 5, "to": 4 }), json!({ "from": 0, "to": 10_001 })] {
            assert_eq!(Harness::new().run(count_primes, span).failed().code(), "bad-span");
        }
    }
}
