//! A peer with the current iroh, for iroh-rust.test.ts: does what stdin says, one thing a line, and tells what came of it.

mod options;
mod peer;

use iroh_mdns_address_lookup::MdnsAddressLookup;
use iroh_tickets::{Ticket, endpoint::EndpointTicket};

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<(), peer::Failure> {
    let options::Bound { endpoint, mdns } = options::bind(std::env::args().skip(1)).await?;
    if mdns {
        endpoint
            .address_lookup()?
            .add(MdnsAddressLookup::builder().build(endpoint.id())?);
    }
    let tickets = peer::Tickets {
        write: |addr| EndpointTicket::new(addr).encode_string(),
        read: |text| Some(EndpointTicket::decode_string(text).ok()?.into()),
    };
    peer::run(endpoint, tickets).await
}
