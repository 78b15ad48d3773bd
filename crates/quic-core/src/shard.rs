//! Several endpoints behind one address: whose a datagram is, and the keys that they have in common.
//!
//! ```text
//! connection id: nonce (5 bytes) | SipHash-2-4(key, nonce) (3 bytes) xor (shard, 0, 0)
//! ```
//!
//! Without the key the number of the shard cannot be read, so connection ids tell nobody which of them belong together
//! (RFC 9000 §5.1); with it, all shards and whoever hands out datagrams can. The two bytes that only repeat the hash tell
//! our ids from those that others have made up.

use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use noq_proto::crypto::{CryptoError, HandshakeTokenKey};
use noq_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};
use ring::{aead, hkdf, hmac};
use siphasher::sip::SipHasher24;

use crate::reader::Reader;

const SECRET_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 5;
const ID_LENGTH: usize = 8;
/// RFC 9000 §17.2.
const LONG_FORM: u8 = 0x80;
const LONG_TYPE: u8 = 0x30;
const TYPE_INITIAL: u8 = 0x00;
const TYPE_ZERO_RTT: u8 = 0x10;

/// Which of the endpoints that share an address this is, and what all of them know.
pub struct Shard {
    number: u8,
    prk: hkdf::Prk,
    ids: Ids,
}

impl Shard {
    /// u8 number, then the secret: 32 bytes. An endpoint that shares nothing makes up its own.
    pub fn read(arguments: &mut Reader<'_>) -> Self {
        let number = arguments.u8();
        let secret = if arguments.flag() {
            arguments.array()
        } else {
            let mut secret = [0; SECRET_LENGTH];
            host::fill_random(&mut secret);
            secret
        };
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"connect-quic shards").extract(&secret);
        let ids = Ids { shard: number, key: expand(&prk, b"connection ids") };
        Self { number, prk, ids }
    }

    /// For stateless resets (RFC 9000 §10.3), which any shard may send in the name of one that is gone.
    pub fn reset_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &expand::<SECRET_LENGTH>(&self.prk, b"stateless resets"))
    }

    /// For tokens of Retry and NEW_TOKEN (RFC 9000 §8.1): a client may come back to another shard.
    pub fn token_key(&self) -> Arc<dyn HandshakeTokenKey> {
        let key: [u8; SECRET_LENGTH] = expand(&self.prk, b"address validation");
        Arc::new(TokenKey(hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&key)))
    }

    pub fn ids(&self) -> Ids {
        Ids { shard: self.number, key: self.ids.key }
    }

    /// Whose a datagram is, by its first bytes.
    pub fn owner_of(&self, datagram: &[u8]) -> Owner {
        match datagram {
            [first, _, _, _, _, length, rest @ ..] if first & LONG_FORM != 0 => {
                let Some(id) = rest.get(..usize::from(*length)) else {
                    return Owner::Nobody;
                };
                match self.ids.shard_of(id) {
                    Some(shard) => Owner::Shard(shard),
                    None if matches!(first & LONG_TYPE, TYPE_INITIAL | TYPE_ZERO_RTT) => {
                        Owner::Any(self.ids.hash(id) as u16)
                    }
                    None => Owner::Nobody,
                }
            }
            [first, rest @ ..] if first & LONG_FORM == 0 => rest
                .get(..ID_LENGTH)
                .and_then(|id| self.ids.shard_of(id))
                .map_or(Owner::Nobody, Owner::Shard),
            _ => Owner::Nobody,
        }
    }
}

pub enum Owner {
    Shard(u8),
    /// Begins a connection: any shard will do, but the same one for the same number.
    Any(u16),
    Nobody,
}

/// Makes connection ids that tell the shard.
pub struct Ids {
    shard: u8,
    key: [u8; 16],
}

impl Ids {
    fn shard_of(&self, id: &[u8]) -> Option<u8> {
        let id: &[u8; ID_LENGTH] = id.try_into().ok()?;
        let (nonce, tag) = id.split_at(NONCE_LENGTH);
        let [mask, check @ .., _, _, _, _, _] = self.hash(nonce).to_le_bytes();
        (tag[1..] == check).then_some(tag[0] ^ mask)
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(bytes);
        hasher.finish()
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; ID_LENGTH];
        host::fill_random(&mut id[..NONCE_LENGTH]);
        let hash = self.hash(&id[..NONCE_LENGTH]).to_le_bytes();
        id[NONCE_LENGTH..].copy_from_slice(&hash[..ID_LENGTH - NONCE_LENGTH]);
        id[NONCE_LENGTH] ^= self.shard;
        ConnectionId::new(&id)
    }

    fn validate(&self, id: ConnectionId) -> Result<(), InvalidCid> {
        self.shard_of(&id).map(|_| ()).ok_or(InvalidCid)
    }

    fn cid_len(&self) -> usize {
        ID_LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// As noq's own, which cannot be given a key: each token is sealed under a key of its own.
struct TokenKey(hkdf::Prk);

impl TokenKey {
    fn derive(&self, token_nonce: u128) -> aead::LessSafeKey {
        let key: [u8; 32] = expand(&self.0, &token_nonce.to_le_bytes());
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, &key).expect("the length is right");
        aead::LessSafeKey::new(key)
    }
}

impl HandshakeTokenKey for TokenKey {
    fn seal(&self, token_nonce: u128, data: &mut Vec<u8>) -> Result<(), CryptoError> {
        self.derive(token_nonce)
            .seal_in_place_append_tag(only_nonce(), aead::Aad::empty(), data)
            .map_err(|_| CryptoError)
    }

    fn open<'a>(&self, token_nonce: u128, data: &'a mut [u8]) -> Result<&'a [u8], CryptoError> {
        self.derive(token_nonce)
            .open_in_place(only_nonce(), aead::Aad::empty(), data)
            .map(|plain| &*plain)
            .map_err(|_| CryptoError)
    }
}

/// Good because no key is used twice.
fn only_nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

fn expand<const N: usize>(prk: &hkdf::Prk, info: &[u8]) -> [u8; N] {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut key = [0; N];
    prk.expand(&[info], Length(N))
        .and_then(|okm| okm.fill(&mut key))
        .expect("the length is in range");
    key
}
