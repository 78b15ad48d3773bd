//! A peer with iroh 1.0, for iroh-rust.test.ts: does what stdin says, as that of ../iroh-rust.

#[path = "../../iroh-rust/src/options.rs"]
mod options;
#[path = "../../iroh-rust/src/peer.rs"]
mod peer;

use iroh_tickets::{Ticket, endpoint::EndpointTicket};

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<(), peer::Failure> {
    let options::Bound { endpoint, mdns } = options::bind(std::env::args().skip(1)).await?;
    if mdns {
        return Err("mDNS is another crate's, for the current iroh".into());
    }
    let tickets = peer::Tickets {
        write: |addr| EndpointTicket::new(addr).encode_string(),
        read: |text| Some(EndpointTicket::decode_string(text).ok()?.into()),
    };
    peer::run(endpoint, tickets).await
}
