//! A peer with tonic-iroh-transport, for tonic-iroh.test.ts. `serve` serves the echo service; `call <id> <address>` makes
//! the calls that stdin names, one a line. What happens is a line of JSON each on stdout. Ends with its stdin. `plain` is
//! the peer of ../iroh-rust, on the older iroh that is here.

mod client;
#[allow(clippy::all)]
#[path = "echo.v1.rs"]
mod echo;
#[path = "../../iroh-rust/src/options.rs"]
mod options;
#[path = "../../iroh-rust/src/peer.rs"]
mod peer;
mod server;

use iroh_tickets::{Ticket, endpoint::EndpointTicket};

pub use peer::Failure;

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let on_loopback = ["--bind".to_string(), "127.0.0.1:0".to_string()];
    match args.first().map(String::as_str) {
        Some("serve") => server::serve(options::bind(on_loopback).await?.endpoint).await,
        Some("call") => {
            let endpoint = options::bind(on_loopback).await?.endpoint;
            client::call(endpoint, &args[1], &args[2]).await
        }
        Some("plain") => {
            let options::Bound { endpoint, mdns } = options::bind(args.into_iter().skip(1)).await?;
            if mdns {
                return Err("mDNS is a feature that this build of iroh 0.98 has not".into());
            }
            let tickets = peer::Tickets {
                write: |addr| EndpointTicket::new(addr).serialize(),
                read: |text| Some(EndpointTicket::deserialize(text).ok()?.into()),
            };
            peer::run(endpoint, tickets).await
        }
        _ => Err("serve, plain, or call <id> <address>".into()),
    }
}

/// Says that something has happened; `fields` are JSON already.
pub fn say(event: &str, fields: &[(&str, String)]) {
    let fields: String = fields
        .iter()
        .map(|(name, value)| format!(",\"{name}\":{value}"))
        .collect();
    println!("{{\"event\":\"{event}\"{fields}}}");
}

/// Text as JSON. Only what tests send comes here: nothing that Rust would escape in its own way.
pub fn text(value: impl std::fmt::Display) -> String {
    format!("{:?}", value.to_string())
}

pub fn hex(bytes: &[u8]) -> String {
    text(
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>(),
    )
}

/// What gRPC puts into `grpc-status-details-bin`: google.rpc.Status.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Detail>,
}

/// google.protobuf.Any
#[derive(Clone, PartialEq, prost::Message)]
pub struct Detail {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}
