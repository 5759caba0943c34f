//! A worker's seat at an address: the name that its connections' identifiers carry, and the way for packets to whoever
//! has their connection.
//!
//! The kernel spreads clients over the workers' sockets by addresses and ports. A client whose address changes is at
//! another worker then; its packets are recognised by their connection identifier and handed over in memory. That costs
//! the few clients that move a copy and a wake-up, and works with any kernel and any number of workers.

use super::channel::{Channel, Passed};
use aws_lc_rs::{hkdf, hmac};
use bytes::BytesMut;
use evenly_core::affinity::SipKey;
use evenly_core::document::Secret;
use quinn_proto::{ConnectionId, ConnectionIdGenerator, EcnCodepoint, InvalidCid};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Packets that wait for one worker at one address: 1.5 MB, and some milliseconds of work. What comes when the queue is
/// full is dropped, as a socket's queue would drop it.
const QUEUE: usize = 1024;

/// Bytes of an identifier: five drawn anew for each, and five that say whose it is, hidden by a keyed hash of the others.
const ID_BYTES: usize = DRAWN + HIDDEN;
const DRAWN: usize = 5;
const HIDDEN: usize = 5;

/// What all workers of a process have in common, and its successors but for the generation.
pub struct Keys {
    ids: SipKey,
    /// The process's place in the line of those that took over from one another; after 255 comes 0.
    pub generation: u8,
    /// Makes the tokens of stateless resets (RFC 9000 §10.3).
    pub reset: Arc<hmac::Key>,
    /// Seals the tokens of Retry (RFC 9000 §8.1).
    pub tokens: Arc<hkdf::Prk>,
}

/// A packet that came to a worker whose connection it is not.
pub struct Packet {
    /// Who sent it.
    pub remote: SocketAddr,
    /// The address that it came to.
    pub local: Option<IpAddr>,
    /// How the network marked it.
    pub ecn: Option<EcnCodepoint>,
    /// The packet.
    pub bytes: BytesMut,
}

/// One worker's seat at one address.
pub struct Seat {
    index: u16,
    /// Packets that others pass on.
    pub inbox: Receiver<Packet>,
    others: Arc<[Sender<Packet>]>,
    predecessor: Option<Arc<Channel>>,
    /// See [`Keys`].
    pub keys: Arc<Keys>,
}

/// Where packets belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A connection of this worker, or none yet.
    Own,
    /// A connection of another worker.
    Other(u16),
    /// A connection of another process: one before this one in the line, or its successor.
    Elsewhere,
}

/// What hands packets over.
#[derive(Clone)]
pub struct Passage {
    index: u16,
    others: Arc<[Sender<Packet>]>,
    predecessor: Option<Arc<Channel>>,
    keys: Arc<Keys>,
}

/// The seats of `workers` at one address, where a predecessor may still have connections.
pub fn seats(workers: usize, keys: &Arc<Keys>, predecessor: Option<&Arc<Channel>>) -> Vec<Seat> {
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel(QUEUE)).unzip();
    let others: Arc<[_]> = senders.into();
    let numbered = (0..=u16::MAX).zip(inboxes);
    let seat = |(index, inbox)| Seat {
        index,
        inbox,
        others: Arc::clone(&others),
        predecessor: predecessor.map(Arc::clone),
        keys: Arc::clone(keys),
    };
    numbered.map(seat).collect()
}

impl Keys {
    /// Keys that come of the process's secret: a successor, which has it too, knows its predecessor's tokens, and tells
    /// by the generation whose connection a packet is for.
    pub fn new(secret: &Secret, generation: u8) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"evenly quic").extract(secret.0.as_bytes());
        let derive = |what: &[u8]| {
            let mut bytes = [0; 32];
            let info = [what];
            let filled = root.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut bytes));
            filled.expect("a hash's length can be asked for");
            bytes
        };
        let ids = derive(b"connection identifiers");
        let (words, _) = ids.as_chunks::<8>();
        Self {
            generation,
            ids: SipKey(u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])),
            reset: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &derive(b"stateless reset"))),
            tokens: Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, b"").extract(&derive(b"retry tokens"))),
        }
    }

    /// The process and the worker that drew this identifier.
    fn owner(&self, id: &[u8]) -> Option<(u8, u16)> {
        let (drawn, hidden) = id.split_at_checked(DRAWN)?;
        let hidden: [u8; HIDDEN] = hidden.try_into().ok()?;
        let mask = self.mask(drawn);
        let [first, second, generation, high, low]: [u8; HIDDEN] =
            std::array::from_fn(|at| hidden[at] ^ mask[at]);
        // The zeros are a check: 1 of 65,536 identifiers that clients draw passes it, and is handed over in vain.
        (first == 0 && second == 0).then_some((generation, u16::from_be_bytes([high, low])))
    }

    fn id(&self, drawn: [u8; DRAWN], worker: u16) -> [u8; ID_BYTES] {
        let [high, low] = worker.to_be_bytes();
        let name = [0, 0, self.generation, high, low];
        let mask = self.mask(&drawn);
        let mut id = [0; ID_BYTES];
        let (first, last) = id.split_at_mut(DRAWN);
        first.copy_from_slice(&drawn);
        last.iter_mut().zip(name).zip(mask).for_each(|((byte, name), mask)| *byte = name ^ mask);
        id
    }

    fn mask(&self, drawn: &[u8]) -> [u8; 8] {
        self.ids.hash(drawn).to_le_bytes()
    }
}

impl Seat {
    /// The way to the other seats.
    pub fn passage(&self) -> Passage {
        Passage {
            index: self.index,
            others: Arc::clone(&self.others),
            predecessor: self.predecessor.clone(),
            keys: Arc::clone(&self.keys),
        }
    }

    /// What draws this seat's identifiers.
    pub fn ids(&self) -> Ids {
        Ids { index: self.index, keys: Arc::clone(&self.keys) }
    }
}

impl Passage {
    /// Whose connection a packet belongs to.
    pub fn owner(&self, packet: &[u8]) -> Owner {
        let Some(id) = destination(packet) else { return Owner::Own };
        match self.keys.owner(id) {
            Some((generation, _)) if generation != self.keys.generation => Owner::Elsewhere,
            Some((_, index)) if index != self.index && usize::from(index) < self.others.len() => {
                Owner::Other(index)
            }
            _ => Owner::Own,
        }
    }

    /// Hands a packet over; whether there was room.
    pub fn hand_over(&self, to: u16, packet: Packet) -> bool {
        self.others.get(usize::from(to)).is_some_and(|other| other.try_send(packet).is_ok())
    }
}

impl Passage {
    /// Sends a packet back in the line of processes.
    pub fn hand_back(&self, packet: &Packet) -> Passed {
        self.predecessor.as_ref().map_or(Passed::Nowhere, |channel| channel.send(packet))
    }
}

/// The destination's identifier in a packet (RFC 8999 §5).
fn destination(packet: &[u8]) -> Option<&[u8]> {
    const LONG: u8 = 0x80;
    if packet.first()? & LONG == 0 {
        return packet.get(1..=ID_BYTES);
    }
    let length = usize::from(*packet.get(5)?);
    packet.get(6..6 + length)
}

/// Draws connection identifiers.
#[derive(Clone)]
pub struct Ids {
    index: u16,
    keys: Arc<Keys>,
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut drawn = [0; DRAWN];
        aws_lc_rs::rand::fill(&mut drawn).expect("the system gives random bytes");
        ConnectionId::new(&self.keys.id(drawn, self.index))
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        self.keys.owner(id).map(|_| ()).ok_or(InvalidCid)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> Arc<Keys> {
        Arc::new(Keys::new(&Secret(secret.into()), 7))
    }

    #[test]
    fn identifiers_say_whose_they_are_to_those_who_know_the_secret() {
        let all = seats(300, &keys("a"), None);
        for seat in &all {
            let id = seat.ids().generate_cid();
            assert_eq!(seat.keys.owner(&id), Some((7, seat.index)));
            assert!(seat.ids().validate(&id).is_ok());
            // A key of its own knows about none of them.
            assert_eq!(keys("b").owner(&id), None);
        }
        assert_eq!(all[0].keys.owner(b"short"), None);
        assert_eq!(all[0].keys.owner(&[0; 20]), None);
    }

    #[test]
    fn packets_go_to_the_owner_of_their_identifier_until_its_queue_is_full() {
        let mut all = seats(2, &keys("a"), None);
        let passage = all[0].passage();
        let id = all[1].ids().generate_cid();
        let short = [&[0x40][..], &id, b"rest"].concat();
        let long = [&[0xc0, 0, 0, 0, 1, 10][..], &id, b"rest"].concat();
        assert_eq!([passage.owner(&short), passage.owner(&long)], [Owner::Other(1); 2]);
        assert_eq!(all[1].passage().owner(&short), Owner::Own);
        let heir = seats(1, &Arc::new(Keys::new(&Secret("a".into()), 8)), None).remove(0).passage();
        assert_eq!(heir.owner(&short), Owner::Elsewhere);
        for cut in 0..11 {
            assert_eq!(passage.owner(&short[..cut]), Owner::Own);
        }
        assert_eq!(passage.owner(&[0xc0, 0, 0, 0, 1, 200, 0]), Owner::Own);
        let packet = || Packet {
            remote: "192.0.2.1:1".parse().unwrap(),
            local: None,
            ecn: None,
            bytes: BytesMut::from(&short[..]),
        };
        assert!((0..QUEUE).all(|_| passage.hand_over(1, packet())));
        assert!(!passage.hand_over(1, packet()) && !passage.hand_over(7, packet()));
        assert_eq!(all[1].inbox.try_recv().unwrap().bytes, short);
        assert!(passage.hand_over(1, packet()));
    }

    /// One of 65,536 passes by chance.
    #[test]
    fn foreign_identifiers_rarely_pass() {
        let (own, other) = (seats(2, &keys("a"), None), seats(2, &keys("b"), None));
        let mut ids = other[0].ids();
        let passed = (0..20_000).filter(|_| own[0].keys.owner(&ids.generate_cid()).is_some()).count();
        assert!(passed < 10, "{passed}");
    }
}
