//! Session tickets (RFC 8446 §4.6.1, RFC 5077): what a client needs to resume its session, sealed so that only those who
//! share the secret can read it. Nothing is remembered here.
//!
//! A ticket's key comes of the secret, the listener's name and the time (HKDF, RFC 5869), so all nodes with one secret and
//! clocks that roughly agree use the same one, and rotate it at the same time. Listeners do not share keys: a session may
//! have been allowed under other rules there. TLS 1.3 exchanges keys anew on resumption, so a secret that gets
//! known opens no recorded session; with TLS 1.2 it opens those of its tickets, which is why it should be replaced now and then.

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use evenly_core::document::Secret;
use rustls::server::ProducesTickets;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long tickets are made with one key; they are accepted for as long again.
const ROTATION_SECONDS: u64 = 12 * 60 * 60;

const KEY_BYTES: usize = 32;
const NAME_BYTES: usize = 16;

/// One listener's tickets.
pub struct Tickets {
    /// The one that seals first.
    secrets: Vec<Secret>,
    listener: Box<str>,
    keys: ArcSwap<Keys>,
}

/// The keys of one time.
struct Keys {
    epoch: u64,
    /// The one that seals first.
    keys: Vec<Key>,
}

struct Key {
    /// Says in a ticket which key it needs.
    name: [u8; NAME_BYTES],
    key: LessSafeKey,
}

/// What HKDF is to give.
struct Bytes;

impl KeyType for Bytes {
    fn len(&self) -> usize {
        NAME_BYTES + KEY_BYTES
    }
}

impl Tickets {
    /// Tickets of a listener under these secrets, the one that seals first.
    pub fn new(secrets: Vec<Secret>, listener: &str) -> Self {
        let listener: Box<str> = listener.into();
        let keys = Keys::at(epoch(), &secrets, &listener);
        Self { secrets, listener, keys: ArcSwap::from_pointee(keys) }
    }

    fn keys(&self) -> arc_swap::Guard<Arc<Keys>> {
        let keys = self.keys.load();
        if keys.epoch == epoch() {
            return keys;
        }
        self.keys.store(Arc::new(Keys::at(epoch(), &self.secrets, &self.listener)));
        self.keys.load()
    }
}

fn epoch() -> u64 {
    // A clock before 1970 has one epoch, which serves.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / ROTATION_SECONDS)
}

impl Keys {
    /// Those of this time, of the one before, and of the next: a node whose clock is ahead may use it already.
    fn at(epoch: u64, secrets: &[Secret], listener: &str) -> Self {
        let epochs = [epoch, epoch.saturating_sub(1), epoch + 1];
        let of_secret =
            |secret| epochs.into_iter().filter_map(move |epoch| Key::new(secret, listener, epoch));
        Self { epoch, keys: secrets.iter().flat_map(of_secret).collect() }
    }
}

impl Key {
    fn new(secret: &Secret, listener: &str, epoch: u64) -> Option<Self> {
        let salt = Salt::new(HKDF_SHA256, b"evenly session tickets");
        let epoch = epoch.to_be_bytes();
        let mut bytes = [0; NAME_BYTES + KEY_BYTES];
        let info = [listener.as_bytes(), &epoch];
        salt.extract(secret.0.as_bytes()).expand(&info, Bytes).ok()?.fill(&mut bytes).ok()?;
        let (name, key) = bytes.split_at(NAME_BYTES);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        Some(Self { name: name.try_into().ok()?, key })
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(ROTATION_SECONDS).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys();
        let Key { name, key } = keys.keys.first()?;
        // Random nonces: 2^32 tickets of one key are safe (NIST SP 800-38D §8.3), and no key lasts for as many.
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let (_, sealed) = ticket.split_at_mut(NAME_BYTES + NONCE_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(name), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys();
        // The name is no secret, so comparing it in its own time tells nothing.
        let key = &keys.keys.iter().find(|key| key.name == *name)?.key;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.open_in_place(nonce, Aad::from(name), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").field("listener", &self.listener).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(secrets: &[&str], listener: &str) -> Tickets {
        Tickets::new(secrets.iter().map(|secret| Secret((*secret).to_owned())).collect(), listener)
    }

    #[test]
    fn nodes_with_one_secret_read_each_others_tickets_and_nobody_else_does() {
        let ticket = tickets(&["a secret of two"], "web").encrypt(b"session").unwrap();
        assert_eq!(tickets(&["a secret of two"], "web").decrypt(&ticket).unwrap(), b"session");
        assert!(tickets(&["another secret"], "web").decrypt(&ticket).is_none());
        assert!(
            tickets(&["a secret of two"], "other").decrypt(&ticket).is_none(),
            "another listener's rules"
        );
    }

    #[test]
    fn a_replaced_secret_still_opens() {
        let old = tickets(&["the old secret"], "web").encrypt(b"session").unwrap();
        let both = tickets(&["the new secret", "the old secret"], "web");
        assert_eq!(both.decrypt(&old).unwrap(), b"session");
        let new = both.encrypt(b"session").unwrap();
        assert!(tickets(&["the old secret"], "web").decrypt(&new).is_none(), "the new one seals");
    }

    #[test]
    fn the_key_before_and_the_next_are_accepted_and_no_others() {
        let secrets = [Secret("a secret".into())];
        let name = |epoch| Keys::at(epoch, &secrets, "web").keys[0].name;
        let accepted: Vec<_> = Keys::at(100, &secrets, "web").keys.iter().map(|key| key.name).collect();
        assert_eq!(accepted, [name(100), name(99), name(101)]);
        assert!(!accepted.contains(&name(98)) && !accepted.contains(&name(102)));
    }

    #[test]
    fn a_changed_ticket_is_none() {
        let tickets = tickets(&["a secret"], "web");
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert!(tickets.decrypt(&changed).is_none(), "byte {at}");
            assert!(tickets.decrypt(&ticket[..at]).is_none(), "cut at {at}");
        }
    }
}
