const millisecondsPerDay = 86_400_000;
/** Ids remembered to count each once a day. */
const maxKeysPerDay = 100_000;

/**
 * What a relay has done since it started. Names and meaning are those of iroh-relay, whose dashboards then fit; what it
 * declares and never counts is left out.
 */
export class RelayMetrics {
  /** Of datagram frames that went to clients, without the frame around them. */
  bytesSent = 0;
  bytesReceived = 0;
  /** Datagram frames. */
  framesSent = 0;
  framesReceived = 0;
  /** Because nobody is connected under the id, its queue is full, or it would harm the receiver. */
  framesDropped = 0;
  pingsReceived = 0;
  pongsSent = 0;
  /** Clients that were let in. */
  accepts = 0;
  disconnects = 0;
  /** Connections that ended before: wrong signature, denied, too slow. */
  handshakesFailed = 0;
  inactiveAdded = 0;
  inactiveRemoved = 0;
  bytesRateLimited = 0;
  connectionsRateLimited = 0;
  httpConnections = 0;
  httpConnectionsClosed = 0;
  /** Connections of hosts that had too many. */
  httpConnectionsRefused = 0;
  /** Of clients that wanted to know their address. */
  addressConnections = 0;
  addressConnectionsClosed = 0;
  #uniqueKeys = 0;
  #keysOfDay = new Set<string>();
  #day = 0;

  /** Ids, each counted once a day. */
  get uniqueKeys(): number {
    return this.#uniqueKeys;
  }

  countKey(id: string, unixMs: number): void {
    const day = Math.floor(unixMs / millisecondsPerDay);
    if (day !== this.#day) {
      this.#day = day;
      this.#keysOfDay.clear();
    }
    if (!this.#keysOfDay.has(id) && this.#keysOfDay.size < maxKeysPerDay) {
      this.#keysOfDay.add(id);
      this.#uniqueKeys += 1;
    }
  }

  /** The text that Prometheus reads (OpenMetrics 1.0). */
  toOpenMetrics(): string {
    const lines = this.#rows().flatMap(([name, help, value]) => [
      `# HELP relayserver_${name} ${help}.`,
      `# TYPE relayserver_${name} counter`,
      `relayserver_${name}_total ${value}`,
    ]);
    return `${[...lines, "# EOF"].join("\n")}\n`;
  }

  #rows(): (readonly [name: string, help: string, value: number])[] {
    return [
      ["bytes_sent", "Number of bytes sent", this.bytesSent],
      ["bytes_recv", "Number of bytes received", this.bytesReceived],
      ["send_packets_sent", "Number of 'send' packets relayed", this.framesSent],
      ["send_packets_recv", "Number of 'send' packets received", this.framesReceived],
      ["send_packets_dropped", "Number of 'send' packets dropped", this.framesDropped],
      ["got_ping", "Number of pings received from clients", this.pingsReceived],
      ["sent_pong", "Number of pongs sent to clients", this.pongsSent],
      ["accepts", "Number of clients let in", this.accepts],
      ["disconnects", "Number of clients that have then disconnected", this.disconnects],
      ["handshakes_failed", "Number of clients not let in", this.handshakesFailed],
      ["unique_client_keys", "Number of unique client keys per day", this.#uniqueKeys],
      ["clients_inactive_added", "Clients that became inactive", this.inactiveAdded],
      ["clients_inactive_removed", "Clients no longer inactive", this.inactiveRemoved],
      ["bytes_rx_ratelimited", "Bytes received too fast", this.bytesRateLimited],
      ["conns_rx_ratelimited", "Connections slowed down", this.connectionsRateLimited],
      ["http_connections", "Number of HTTP connections", this.httpConnections],
      ["http_connections_closed", "Number of them that ended", this.httpConnectionsClosed],
      ["qad_connections", "QUIC address discovery connections", this.addressConnections],
      ["qad_connections_closed", "Number of them that ended", this.addressConnectionsClosed],
      [
        "http_connections_refused",
        "Connections of hosts with too many",
        this.httpConnectionsRefused,
      ],
    ];
  }
}
