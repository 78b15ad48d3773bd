/** What a worker holds of, and takes from, its peers and its pages. */

/** Peers that are remembered. Those that are neither connected nor dialed make room, the oldest first. */
export const maxPeers = 256;
/** Conversations with one peer at once: two, where both have dialed. */
export const maxLinksPerPeer = 4;
/** Characters of a peer's name; what is longer is cut. */
export const maxNameLength = 64;
/** Messages that are kept, of all peers together. */
export const maxMessages = 500;
/** A message on a call. Bytes in UTF-8. */
export const maxTextBytes = 4_096;
/** A message in a datagram, which is never split and so has to fit into a packet. Bytes in UTF-8. */
export const maxDatagramTextBytes = 1_000;
/** Messages that wait for a peer that does not read. */
export const maxWaitingMessages = 256;
/** Messages that are taken from one peer within {@link messageSpanMs}; more end the conversation, or are dropped if datagrams. */
export const maxMessagesInSpan = 200;
/** Milliseconds. */
export const messageSpanMs = 10_000;
/** Entries of the event log that are kept. */
export const maxEvents = 500;
/** Characters of an entry; what is longer is cut. */
export const maxEventLength = 500;
/** Benchmarks that are kept, those that run among them. */
export const maxBenchmarks = 50;
/** Benchmarks that one peer may have running here. */
export const maxBenchmarksPerPeer = 2;
/** What a benchmark may carry. Bytes: 16 GiB. */
export const maxBenchmarkBytes: number = 16 * 2 ** 30;
/** Latencies of a peer that are kept, one a second. */
export const maxLatencies = 60;
/** Rates of a benchmark that are kept, see `RateSamples`. */
export const maxRates = 120;
/** Pages that watch at once. */
export const maxWatchers = 16;
/** Workers at the place of rendezvous that pages are told. More are counted. */
export const maxFound = 500;
/** Workers there that are counted besides: as many as a place takes by default. */
export const maxUntold = 100_000;
/** Labels of such a worker, beside its name. */
export const maxFoundLabels = 8;
/** Characters of a label's key, and of its value; what is longer is cut. */
export const maxLabelLength = 64;
/** Characters of a file's name; what is longer is cut. */
export const maxFileNameLength = 128;
/** A file that is kept here for the page, in memory. Larger ones are hashed and thrown away. Bytes. */
export const maxKeptFileBytes: number = 16 * 2 ** 20;
/** All files that are kept, and those on their way that will be. The oldest make room. Bytes. */
export const maxKeptBytes: number = 64 * 2 ** 20;
