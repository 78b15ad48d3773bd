// Rendezvous hashing (highest random weight): each key has its own order of all peers, the same for whoever reckons it, and
// when a peer comes or goes, only those keys move that have it in front.

/** A text as a number, FNV-1a over its UTF-16 code units. 32 bits. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/** What a peer weighs for a key, both by their hashes; the heaviest comes first. 32 bits. */
export function weightOf(keyHash: number, peerHash: number): number {
  // FNV changes its upper bits slowly: both are mixed before they meet, and once more after.
  return mix(Math.imul(mix(keyHash), 0x9e3779b1) + mix(peerHash));
}

/** The last step of MurmurHash3: each bit that comes in changes half of those that go out. */
function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
