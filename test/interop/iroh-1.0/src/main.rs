//! A peer with iroh 1.0, for iroh-rust.test.ts: does what stdin says, as that of ../iroh-rust.

#[path = "../../iroh-rust/src/peer.rs"]
mod peer;

use iroh::endpoint::presets;
use iroh::{Endpoint, RelayMode};

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<(), peer::Failure> {
    let endpoint = Endpoint::builder(presets::Minimal)
        .alpns(peer::alpns())
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")?
        .bind()
        .await?;
    // Tickets are another crate's.
    peer::run(endpoint, String::new(), &|_| None).await
}
