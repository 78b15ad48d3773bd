//! ChaCha20-Poly1305 for QUIC where the host does the large packets: it has instructions for that, and each call costs.

use std::sync::LazyLock;

use rustls::crypto::cipher::{AeadKey, Iv, Nonce};
use rustls::crypto::{CipherSuiteCommon, ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256};
use rustls::quic::{Algorithm, HeaderProtectionKey, PacketKey, Tag};
use rustls::{Error, SupportedCipherSuite, Tls13CipherSuite};
use zeroize::Zeroizing;

/// Bytes of payload from which on the host does it: more than networks carry, for which the call would cost more than it
/// saves, and less than loopback does.
const LARGE: usize = 3_000;

const KEY_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;

/// ring's suite, but for the large packets.
pub fn suite() -> SupportedCipherSuite {
    static SUITE: LazyLock<Tls13CipherSuite> = LazyLock::new(|| {
        let ring = rings();
        let CipherSuiteCommon { suite, hash_provider, confidentiality_limit } = ring.common;
        Tls13CipherSuite {
            common: CipherSuiteCommon { suite, hash_provider, confidentiality_limit },
            hkdf_provider: ring.hkdf_provider,
            aead_alg: ring.aead_alg,
            quic: Some(&HostAided),
        }
    });
    SupportedCipherSuite::Tls13(&SUITE)
}

fn rings() -> &'static Tls13CipherSuite {
    TLS13_CHACHA20_POLY1305_SHA256.tls13().expect("the suite is of TLS 1.3")
}

fn rings_quic() -> &'static dyn Algorithm {
    rings().quic.expect("the suite is for QUIC as well")
}

struct HostAided;

impl Algorithm for HostAided {
    fn packet_key(&self, key: AeadKey, iv: Iv) -> Box<dyn PacketKey> {
        let bytes = key.as_ref().try_into().expect("ChaCha20 has keys of 32 bytes");
        let iv_bytes: [u8; 12] = iv.as_ref().try_into().expect("QUIC has IVs of 12 bytes");
        Box::new(HostAidedKey {
            key: Zeroizing::new(bytes),
            iv: Iv::from(iv_bytes),
            small: rings_quic().packet_key(key, iv),
        })
    }

    fn header_protection_key(&self, key: AeadKey) -> Box<dyn HeaderProtectionKey> {
        rings_quic().header_protection_key(key)
    }

    fn aead_key_len(&self) -> usize {
        KEY_LENGTH
    }
}

struct HostAidedKey {
    key: Zeroizing<[u8; KEY_LENGTH]>,
    iv: Iv,
    small: Box<dyn PacketKey>,
}

impl HostAidedKey {
    fn seal(
        &self,
        nonce: &Nonce,
        header: &[u8],
        payload: &mut [u8],
        small: impl FnOnce(&mut [u8]) -> Result<Tag, Error>,
    ) -> Result<Tag, Error> {
        let mut tag = [0; TAG_LENGTH];
        if payload.len() >= LARGE && host::seal(&self.key, &nonce.0, header, payload, &mut tag) {
            return Ok(Tag::from(&tag[..]));
        }
        small(payload)
    }

    fn open<'a>(
        &self,
        nonce: &Nonce,
        header: &[u8],
        payload: &'a mut [u8],
        small: impl FnOnce(&'a mut [u8]) -> Result<&'a [u8], Error>,
    ) -> Result<&'a [u8], Error> {
        if payload.len() >= LARGE {
            let (text, tag) = payload.split_at_mut(payload.len() - TAG_LENGTH);
            match host::open(&self.key, &nonce.0, header, text, tag) {
                Some(true) => return Ok(&payload[..payload.len() - TAG_LENGTH]),
                Some(false) => return Err(Error::DecryptError),
                None => {}
            }
        }
        small(payload)
    }
}

impl PacketKey for HostAidedKey {
    fn encrypt_in_place(
        &self,
        packet_number: u64,
        header: &[u8],
        payload: &mut [u8],
    ) -> Result<Tag, Error> {
        self.seal(&Nonce::new(&self.iv, packet_number), header, payload, |payload| {
            self.small.encrypt_in_place(packet_number, header, payload)
        })
    }

    fn encrypt_in_place_for_path(
        &self,
        path_id: u32,
        packet_number: u64,
        header: &[u8],
        payload: &mut [u8],
    ) -> Result<Tag, Error> {
        self.seal(&Nonce::for_path(path_id, &self.iv, packet_number), header, payload, |payload| {
            self.small.encrypt_in_place_for_path(path_id, packet_number, header, payload)
        })
    }

    fn decrypt_in_place<'a>(
        &self,
        packet_number: u64,
        header: &[u8],
        payload: &'a mut [u8],
    ) -> Result<&'a [u8], Error> {
        self.open(&Nonce::new(&self.iv, packet_number), header, payload, |payload| {
            self.small.decrypt_in_place(packet_number, header, payload)
        })
    }

    fn decrypt_in_place_for_path<'a>(
        &self,
        path_id: u32,
        packet_number: u64,
        header: &[u8],
        payload: &'a mut [u8],
    ) -> Result<&'a [u8], Error> {
        self.open(&Nonce::for_path(path_id, &self.iv, packet_number), header, payload, |payload| {
            self.small.decrypt_in_place_for_path(path_id, packet_number, header, payload)
        })
    }

    fn tag_len(&self) -> usize {
        TAG_LENGTH
    }

    fn confidentiality_limit(&self) -> u64 {
        self.small.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        self.small.integrity_limit()
    }
}
