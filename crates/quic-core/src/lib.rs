//! iroh's QUIC, noq-proto, for a host that has neither threads nor a socket to give: WebAssembly behind a C ABI.
//!
//! One instance is one endpoint. All that is outside comes in as an argument or through the imports of the `host`
//! crate: time, randomness, signatures, datagrams. So the same calls with the same answers give the same bytes out.
//!
//! Arguments and results that are no numbers lie in memory: in `SCRATCH`, which stays where it is, or in a buffer
//! whose place a function tells. Numbers are little-endian. Handles of connections and ids of streams are doubles,
//! application codes are 64-bit integers (BigInt in JavaScript).
//!
//! - `exports`, `scratch`: the ABI. `reader`, `writer`, `address`: how data is laid out.
//! - `core`, `connection`: the endpoint and its connections. `events`, `transmits`: what comes out of a turn.
//! - `handle`, `deadlines`: bookkeeping. `config`: options. `strangers`: what goes where nobody has asked for it.
//! - `shard`: several endpoints behind one address.
//! - `tls`: who is who. `raw_key`: peers. `web`: certificates and authorities. `large_packets`: encryption by the host.

mod address;
mod config;
mod connection;
mod core;
mod deadlines;
mod events;
mod exports;
mod handle;
mod large_packets;
mod raw_key;
mod reader;
mod scratch;
mod sessions;
mod shard;
mod strangers;
mod tls;
mod transmits;
mod web;
mod writer;
