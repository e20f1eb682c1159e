//! The Restate service of the comparison: a no-op, and ten durable steps that each return a number.
//! In Tidemill, `tests/guests/noop` and `tests/guests/ten-steps` do the same work.
//!
//! Uses plain service handlers without a key, the fastest kind of Restate.

use restate_sdk::prelude::*;
use serde_json::Value;

struct Peer;

#[service]
impl Peer {
    /// Returns its input.
    #[handler]
    async fn noop(&self, _context: Context<'_>, input: Json<Value>) -> Result<Json<Value>, HandlerError> {
        Ok(input)
    }

    /// Runs ten steps in sequence and returns the sum of their numbers.
    #[handler]
    async fn ten_steps(&self, context: Context<'_>, _input: Json<Value>) -> Result<Json<u64>, HandlerError> {
        let mut sum = 0;
        for number in 0..10_u64 {
            sum += context.run(|| async move { Ok(number) }).name("add").await?;
        }
        Ok(Json(sum))
    }
}

/// Serves on the address in the first argument.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: peers-service ADDRESS")?;
    HttpServer::new(Endpoint::builder().bind(Peer).build()).listen_and_serve(address.parse()?).await;
    Ok(())
}
