//! What a peer can be told to do, with any version of iroh since 0.98.

use iroh::endpoint::{
    Connection, ConnectionError, PathId, ReadError, ReadToEndError, RecvStream, ZeroRttStatus,
};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayUrl};
use ring::digest::{Context, SHA256};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, BufReader};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

const ALPN: &[u8] = b"connect-quic-interop/rust/1";

/// How tickets are written and read: each version of iroh has a version of their crate.
pub struct Tickets {
    pub write: fn(EndpointAddr) -> String,
    pub read: fn(&str) -> Option<EndpointAddr>,
}

pub fn alpns() -> Vec<Vec<u8>> {
    vec![ALPN.to_vec()]
}

fn say(event: &str, fields: &[(&str, String)]) {
    let fields: String = fields
        .iter()
        .map(|(name, value)| format!(",\"{name}\":{value}"))
        .collect();
    println!("{{\"event\":\"{event}\"{fields}}}");
}

/// Text as JSON. Only what tests send comes here: nothing that Rust would escape in its own way.
fn text(value: impl std::fmt::Display) -> String {
    format!("{:?}", value.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub async fn run(endpoint: Endpoint, tickets: Tickets) -> Result<(), Failure> {
    let address = endpoint.bound_sockets()[0];
    let ticket = (tickets.write)(endpoint.addr());
    let target = |words: &[&str]| target(words, tickets.read);
    let fields = [
        ("id", text(endpoint.id())),
        ("address", text(address)),
        ("ticket", text(ticket)),
    ];
    say("ready", &fields);
    let mut connection: Option<Connection> = None;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = match words[0] {
            "end" => break,
            "dial" => match endpoint.connect(target(&words[1..])?, ALPN).await {
                Ok(connected) => introduce(connection.insert(connected)),
                Err(error) => Err(format!("{error:#}").into()),
            },
            "accept" => match endpoint.accept().await {
                Some(incoming) => introduce(connection.insert(incoming.await?)),
                None => Err("the endpoint is closed".into()),
            },
            // Sends the second word with the first packet, or once it may.
            "dial-early" => {
                let asked = dial_early(&endpoint, words[1], target(&words[2..])?).await;
                asked.map(|connected| connection = Some(connected))
            }
            // Answers what comes, before it is known that the peer is there.
            "accept-early" => match endpoint.accept().await {
                Some(incoming) => {
                    let early = incoming.accept()?.into_0rtt();
                    let (mut send, mut receive) = early.accept_bi().await?;
                    let asked = receive.read_to_end(1_000_000).await?;
                    send.write_all(&asked).await?;
                    send.write_all(b"!").await?;
                    send.finish()?;
                    let connected = connection.insert(early.handshake_completed().await?);
                    let id = text(connected.remote_id());
                    say(
                        "asked",
                        &[("text", text(String::from_utf8(asked)?)), ("id", id)],
                    );
                    Ok(())
                }
                None => Err("the endpoint is closed".into()),
            },
            _ => match &connection {
                Some(connection) => step(connection, &words).await,
                None => Err("no connection".into()),
            },
        };
        if let Err(error) = outcome {
            say("failed", &[("why", text(error))]);
        }
    }
    endpoint.close().await;
    say("ended", &[]);
    Ok(())
}

/// A ticket, or an id and any number of addresses and relays.
fn target(
    words: &[&str],
    read_ticket: fn(&str) -> Option<EndpointAddr>,
) -> Result<EndpointAddr, Failure> {
    if let Some(addr) = read_ticket(words[0]) {
        return Ok(addr);
    }
    let mut addr = EndpointAddr::new(words[0].parse::<EndpointId>()?);
    for word in &words[1..] {
        addr = if word.starts_with("http") {
            addr.with_relay_url(word.parse::<RelayUrl>()?)
        } else {
            addr.with_ip_addr(word.parse::<SocketAddr>()?)
        };
    }
    Ok(addr)
}

async fn dial_early(
    endpoint: &Endpoint,
    question: &str,
    addr: EndpointAddr,
) -> Result<Connection, Failure> {
    let connecting = endpoint
        .connect_with_opts(addr, ALPN, Default::default())
        .await?;
    let (connection, outcome, mut receive) = match connecting.into_0rtt() {
        Ok(early) => {
            let (mut send, receive) = early.open_bi().await?;
            send.write_all(question.as_bytes()).await?;
            send.finish()?;
            match early.handshake_completed().await? {
                ZeroRttStatus::Accepted(connection) => (connection, "accepted", receive),
                ZeroRttStatus::Rejected(connection) => {
                    let receive = ask(&connection, question).await?;
                    (connection, "rejected", receive)
                }
            }
        }
        Err(connecting) => {
            let connection = connecting.await?;
            let receive = ask(&connection, question).await?;
            (connection, "none", receive)
        }
    };
    let answer = String::from_utf8(receive.read_to_end(1_000_000).await?)?;
    say(
        "answer",
        &[("text", text(answer)), ("early", text(outcome))],
    );
    Ok(connection)
}

async fn ask(connection: &Connection, question: &str) -> Result<RecvStream, Failure> {
    let (mut send, receive) = connection.open_bi().await?;
    send.write_all(question.as_bytes()).await?;
    send.finish()?;
    Ok(receive)
}

fn introduce(connection: &Connection) -> Result<(), Failure> {
    let alpn = String::from_utf8_lossy(connection.alpn());
    say(
        "connected",
        &[("id", text(connection.remote_id())), ("alpn", text(alpn))],
    );
    Ok(())
}

async fn step(connection: &Connection, words: &[&str]) -> Result<(), Failure> {
    let rest = words[1..].join(" ");
    match words[0] {
        "open-bi" => {
            let (mut send, mut receive) = connection.open_bi().await?;
            send.write_all(rest.as_bytes()).await?;
            send.finish()?;
            let answer = receive.read_to_end(1_000_000).await?;
            say("answer", &[("text", text(String::from_utf8(answer)?))]);
        }
        "accept-bi" => {
            let (mut send, mut receive) = connection.accept_bi().await?;
            let asked = receive.read_to_end(1_000_000).await?;
            send.write_all(&asked).await?;
            send.write_all(b"!").await?;
            send.finish()?;
            say("asked", &[("text", text(String::from_utf8(asked)?))]);
        }
        // Ends its half first, and reads on.
        "half-close" => {
            let (mut send, mut receive) = connection.accept_bi().await?;
            send.write_all(b"early").await?;
            send.finish()?;
            let asked = receive.read_to_end(1_000_000).await?;
            say("asked", &[("text", text(String::from_utf8(asked)?))]);
        }
        "open-uni" => {
            let mut send = connection.open_uni().await?;
            send.write_all(rest.as_bytes()).await?;
            send.finish()?;
            send.stopped().await?;
            say("arrived", &[]);
        }
        "accept-uni" => {
            let received = connection
                .accept_uni()
                .await?
                .read_to_end(1_000_000)
                .await?;
            say("received", &[("text", text(String::from_utf8(received)?))]);
        }
        "send-datagram" => {
            connection.send_datagram(rest.into_bytes().into())?;
            say("sent", &[]);
        }
        "read-datagram" => {
            let received = connection.read_datagram().await?;
            say(
                "received",
                &[("text", text(String::from_utf8(received.to_vec())?))],
            );
        }
        // Gives a stream up: reads no further with the first code, and resets with the second.
        "give-up" => {
            let (mut send, mut receive) = connection.accept_bi().await?;
            receive.stop(words[1].parse::<u32>()?.into())?;
            send.reset(words[2].parse::<u32>()?.into())?;
            say("given-up", &[]);
        }
        // Says with which codes a stream was given up.
        "given-up" => {
            let (send, mut receive) = connection.accept_bi().await?;
            let reset = match receive.read_to_end(1_000_000).await {
                Err(ReadToEndError::Read(ReadError::Reset(code))) => code.into_inner().to_string(),
                other => text(format!("{other:?}")),
            };
            let stopped = match send.stopped().await? {
                Some(code) => code.into_inner().to_string(),
                None => "null".into(),
            };
            say("codes", &[("reset", reset), ("stopped", stopped)]);
        }
        // Sends this many bytes to who answers with their SHA-256.
        "digest" => {
            let (mut send, mut receive) = connection.open_bi().await?;
            let mut context = Context::new(&SHA256);
            let length: usize = words[1].parse()?;
            let mut sent = 0;
            while sent < length {
                let piece: Vec<u8> = (sent..length.min(sent + 65_536))
                    .map(|at| (at % 251) as u8)
                    .collect();
                context.update(&piece);
                send.write_all(&piece).await?;
                sent += piece.len();
            }
            send.finish()?;
            let answer = receive.read_to_end(32).await?;
            say(
                "digest",
                &[
                    ("sent", text(hex(context.finish().as_ref()))),
                    ("answer", text(hex(&answer))),
                ],
            );
        }
        // Answers what comes on one stream with its SHA-256.
        "serve-digest" => {
            let (mut send, mut receive) = connection.accept_bi().await?;
            let mut context = Context::new(&SHA256);
            let mut piece = vec![0; 65_536];
            while let Some(length) = receive.read(&mut piece).await? {
                context.update(&piece[..length]);
            }
            let digest = context.finish();
            send.write_all(digest.as_ref()).await?;
            send.finish()?;
            send.stopped().await?;
            say("served", &[("digest", text(hex(digest.as_ref())))]);
        }
        // What it knows of the way of its packets.
        "stats" => {
            let stats = connection.stats();
            let rtt = connection.rtt(PathId::ZERO).unwrap_or_default();
            say(
                "stats",
                &[
                    ("sent", stats.udp_tx.bytes.to_string()),
                    ("received", stats.udp_rx.bytes.to_string()),
                    ("rtt", (rtt.as_secs_f64() * 1_000.0).to_string()),
                ],
            );
        }
        "close" => {
            connection.close(words[1].parse::<u32>()?.into(), words[2].as_bytes());
            say("closed-here", &[]);
        }
        "closed" => match connection.closed().await {
            ConnectionError::ApplicationClosed(close) => say(
                "closed",
                &[
                    ("code", close.error_code.into_inner().to_string()),
                    ("reason", text(String::from_utf8_lossy(&close.reason))),
                ],
            ),
            other => say("closed", &[("how", text(format!("{other:?}")))]),
        },
        other => return Err(format!("cannot {other}").into()),
    }
    Ok(())
}
