//! The twin of examples/custom-protocol: the same protocol, on the Rust crate iroh. On each stream the caller sends any
//! number of bytes, and gets their SHA-256 back.
//!
//! `iroh-digest` serves, and prints its ticket; `iroh-digest <ticket> <file>` prints what is answered to the file.

use iroh::endpoint::{Connection, RecvStream, SendStream, presets};
use iroh::protocol::{AcceptError, ProtocolHandler, Router};
use iroh::{Endpoint, EndpointAddr, RelayMode};
use iroh_tickets::{Ticket, endpoint::EndpointTicket};
use ring::digest::{Context, SHA256};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What both sides say they speak.
const ALPN: &[u8] = b"connect-quic-example/digest/1";

/// The serving side.
#[derive(Debug, Clone)]
struct Digest;

impl ProtocolHandler for Digest {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        // Ends with an error when the caller has closed the connection.
        while let Ok((send, receive)) = connection.accept_bi().await {
            tokio::spawn(answer(send, receive));
        }
        Ok(())
    }
}

async fn answer(mut send: SendStream, mut receive: RecvStream) -> Result<(), Failure> {
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; 65_536];
    while let Some(length) = receive.read(&mut piece).await? {
        context.update(&piece[..length]);
    }
    send.write_all(context.finish().as_ref()).await?;
    send.finish()?;
    Ok(())
}

/// The calling side.
async fn digest(connection: &Connection, path: &str) -> Result<Vec<u8>, Failure> {
    let (mut send, mut receive) = connection.open_bi().await?;
    tokio::io::copy(&mut tokio::fs::File::open(path).await?, &mut send).await?;
    send.finish()?;
    Ok(receive.read_to_end(32).await?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let endpoint = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .bind()
        .await?;
    if let [ticket, path] = args.as_slice() {
        let addr: EndpointAddr = EndpointTicket::decode_string(ticket)?.into();
        let connection = endpoint.connect(addr, ALPN).await?;
        let sum = digest(&connection, path).await?;
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{sum}");
        connection.close(0u32.into(), b"");
        endpoint.close().await;
        return Ok(());
    }
    println!("{}", EndpointTicket::new(endpoint.addr()).encode_string());
    let _router = Router::builder(endpoint).accept(ALPN, Digest).spawn();
    std::future::pending().await
}
