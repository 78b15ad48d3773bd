//! How a peer is bound, with any version of iroh since 0.98: `--bind <address>`, `--key <text>`, `--relay <URL>`,
//! `--pkarr <URL>`, `--idle <ms>`, `--keep-alive <ms>`, `--mdns`

use crate::peer::{self, Failure};
use iroh::address_lookup::{PkarrPublisher, PkarrResolver};
use iroh::endpoint::{QuicTransportConfig, presets};
use iroh::{Endpoint, RelayMode, RelayUrl, SecretKey};
use std::time::Duration;

pub struct Bound {
    pub endpoint: Endpoint,
    /// Whether it is to be found in the local network: by a crate that is another one for each version.
    pub mdns: bool,
}

pub async fn bind(args: impl IntoIterator<Item = String>) -> Result<Bound, Failure> {
    let mut args = args.into_iter();
    let mut builder = Endpoint::builder(presets::Minimal).alpns(peer::alpns());
    let mut relay = RelayMode::Disabled;
    let mut mdns = false;
    let mut transport = QuicTransportConfig::builder();
    let mut online = false;
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or(format!("{option} needs a value"));
        match option.as_str() {
            "--relay" => {
                relay = RelayMode::custom([value()?.parse::<RelayUrl>()?]);
                online = true;
            }
            // Publishes its relay alone, as on the public network.
            "--pkarr" => {
                let url: String = value()?;
                builder = builder
                    .address_lookup(PkarrPublisher::builder(url.parse()?))
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
            "--bind" => {
                builder = builder.clear_ip_transports().bind_addr(value()?.as_str())?;
            }
            _ => return Err(format!("no option {option}").into()),
        }
    }
    let builder = builder.transport_config(transport.build());
    let endpoint = builder.relay_mode(relay).bind().await?;
    if online {
        endpoint.online().await;
    }
    Ok(Bound { endpoint, mdns })
}
