//! A peer with the current iroh, for iroh-rust.test.ts: does what stdin says, one thing a line, and tells what came of it.
//! `--relay <URL>`, `--pkarr <URL>`, `--mdns`, `--idle <ms>`, `--keep-alive <ms>`, `--bind <address>`, `--key <text>`

mod peer;

use iroh::address_lookup::{AddrFilter, PkarrPublisher, PkarrResolver};
use iroh::endpoint::{QuicTransportConfig, presets};
use iroh::{Endpoint, RelayMode, RelayUrl, SecretKey};
use iroh_mdns_address_lookup::MdnsAddressLookup;
use iroh_tickets::{Ticket, endpoint::EndpointTicket};
use peer::Failure;
use std::time::Duration;

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<(), Failure> {
    let mut builder = Endpoint::builder(presets::Minimal).alpns(peer::alpns());
    let mut relay = RelayMode::Disabled;
    let mut mdns = false;
    let mut transport = QuicTransportConfig::builder();
    let mut args = std::env::args().skip(1);
    let mut online = false;
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or(format!("{option} needs a value"));
        match option.as_str() {
            "--relay" => {
                relay = RelayMode::custom([value()?.parse::<RelayUrl>()?]);
                online = true;
            }
            "--pkarr" => {
                let url: String = value()?;
                builder = builder
                    .address_lookup(
                        PkarrPublisher::builder(url.parse()?).addr_filter(AddrFilter::unfiltered()),
                    )
                    .address_lookup(PkarrResolver::builder(url.parse()?));
            }
            "--mdns" => mdns = true,
            "--key" => builder = builder.secret_key(value()?.parse::<SecretKey>()?),
            "--idle" => {
                let idle = Duration::from_millis(value()?.parse()?);
                transport = transport.max_idle_timeout(Some(idle.try_into()?));
            }
            "--keep-alive" => {
                let interval = Duration::from_millis(value()?.parse()?);
                transport = transport
                    .keep_alive_interval(interval)
                    .default_path_keep_alive_interval(interval);
            }
            "--bind" => builder = builder.clear_ip_transports().bind_addr(value()?.as_str())?,
            _ => return Err(format!("no option {option}").into()),
        }
    }
    let builder = builder.transport_config(transport.build());
    let endpoint = builder.relay_mode(relay).bind().await?;
    if mdns {
        endpoint
            .address_lookup()?
            .add(MdnsAddressLookup::builder().build(endpoint.id())?);
    }
    if online {
        endpoint.online().await;
    }
    let parse = |ticket: &str| {
        EndpointTicket::decode_string(ticket)
            .ok()
            .map(|ticket| ticket.endpoint_addr().clone())
    };
    let ticket = EndpointTicket::new(endpoint.addr()).encode_string();
    peer::run(endpoint, ticket, &parse).await
}
