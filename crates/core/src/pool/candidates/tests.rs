//! Who gets traffic, from members that letters stand for.

use super::*;
use crate::circuit::EndpointCircuit;
use crate::document;
use crate::pool::{AdminState, EndpointId, Level};
use std::net::SocketAddr;
use std::sync::Arc;

/// A letter for each member: Healthy, Starting, Unhealthy, Ejected, Draining (healthy), sicK and draining, Maintenance; lower
/// case: backup; 0: healthy with weight 0.
fn members(letters: &str) -> Vec<Member> {
    let member = |(id, letter): (u32, char)| {
        let (health, admin) = match letter.to_ascii_uppercase() {
            'H' | '0' => (Health::Healthy, AdminState::Ready),
            'E' => (Health::Healthy, AdminState::Ready),
            'S' => (Health::Starting, AdminState::Ready),
            'U' => (Health::Unhealthy, AdminState::Ready),
            'D' => (Health::Healthy, AdminState::Draining),
            'K' => (Health::Unhealthy, AdminState::Draining),
            'M' => (Health::Healthy, AdminState::Maintenance),
            other => panic!("{other}"),
        };
        let endpoint = Endpoint::new(EndpointId(id), SocketAddr::from(([10, 0, 0, 1], 1)), health);
        endpoint.set_admin(admin);
        endpoint.set_ejected(letter.eq_ignore_ascii_case(&'E'));
        let weight = u16::from(letter != '0');
        let backup = letter.is_ascii_lowercase();
        let level = Level { is_backup: backup, ..Level::default() };
        Member {
            endpoint: Arc::new(endpoint),
            weight,
            backup,
            max_connections: u32::MAX,
            zone: None,
            level,
            circuit: None,
        }
    };
    (0..).zip(letters.chars()).map(member).collect()
}

fn selected(members: &[Member], threshold: u8) -> Result<(Tier, Vec<usize>), NoEndpoint> {
    let Selection { tier, chosen, .. } = select(members, threshold)?;
    Ok((tier, chosen.into_iter().map(|(index, _)| index).collect()))
}

#[test]
fn tiers() {
    for (letters, threshold, expected) in [
        ("HHUSDMh", 0, Ok((Tier::Healthy, vec![0, 1]))),
        ("USSDMh", 0, Ok((Tier::Starting, vec![1, 2]))),
        ("UUDMhsh", 0, Ok((Tier::Backup, vec![4, 6]))),
        ("UDMsu", 0, Ok((Tier::BackupStarting, vec![3]))),
        ("0SH", 0, Ok((Tier::Healthy, vec![2]))),
        ("", 0, Err(NoEndpoint::Empty)),
        ("00", 100, Err(NoEndpoint::Empty)),
        ("UuDM", 0, Err(NoEndpoint::AllUnhealthy)),
        ("EHe", 0, Ok((Tier::Healthy, vec![1]))),
        ("Eh", 0, Ok((Tier::Backup, vec![1]))),
        ("EDM", 0, Err(NoEndpoint::AllEjected)),
        ("UED", 0, Err(NoEndpoint::AllUnhealthy)),
        ("DMd", 0, Err(NoEndpoint::AllDraining)),
        ("Mm", 100, Err(NoEndpoint::AllMaintenance)),
        ("M0", 100, Err(NoEndpoint::AllMaintenance)),
    ] {
        assert_eq!(selected(&members(letters), threshold), expected, "{letters} {threshold}");
    }
}

#[test]
fn panic() {
    for (letters, threshold, expected) in [
        ("HU", 50, Ok((Tier::Healthy, vec![0]))),
        ("HUU", 50, Ok((Tier::Panic, vec![0, 1, 2]))),
        ("HUUSKM0u", 50, Ok((Tier::Panic, vec![0, 1, 2, 3, 4, 7]))),
        ("HEE", 50, Ok((Tier::Panic, vec![0, 1, 2]))),
        ("HE", 50, Ok((Tier::Healthy, vec![0]))),
        ("UU", 1, Ok((Tier::Panic, vec![0, 1]))),
        ("UU", 0, Err(NoEndpoint::AllUnhealthy)),
        // The operator's draining and the first moments are no outage.
        ("HDD", 100, Ok((Tier::Healthy, vec![0]))),
        ("SSS", 100, Ok((Tier::Starting, vec![0, 1, 2]))),
        ("HS", 100, Ok((Tier::Healthy, vec![0]))),
    ] {
        assert_eq!(selected(&members(letters), threshold), expected, "{letters} {threshold}");
    }
}

#[test]
fn an_evacuated_zone_is_the_last_resort() {
    for (letters, evacuated, threshold, expected) in [
        ("HHH", vec![0], 0, Ok((Tier::Healthy, vec![1, 2]))),
        ("HHh", vec![0, 1], 0, Ok((Tier::Backup, vec![2]))),
        ("HSUDMh", vec![0, 1, 2, 3, 4, 5], 0, Ok((Tier::Evacuated, vec![0, 1, 5]))),
        ("UDM", vec![0, 1, 2], 0, Err(NoEndpoint::AllUnhealthy)),
        // What is left is judged by itself: neither an evacuation causes panic, nor does panic undo it.
        ("HHHU", vec![0, 1], 60, Ok((Tier::Panic, vec![2, 3]))),
        ("HHHU", vec![0, 1], 50, Ok((Tier::Healthy, vec![2]))),
    ] {
        let members = members(letters);
        evacuated.iter().for_each(|index: &usize| {
            members[*index].endpoint.set_evacuated(true);
        });
        assert_eq!(selected(&members, threshold), expected, "{letters} {evacuated:?}");
    }
}

/// Gives each of them a circuit: c for closed, h for half-open, o for open.
fn with_circuits(letters: &str, circuits: &str) -> Vec<Member> {
    let policy = document::EndpointCircuitBreaker {
        failure_rate_percent: 50,
        window_ms: 10_000,
        minimum_requests: 1,
        base_open_time_ms: 1_000,
        max_open_time_ms: 1_000,
        half_open_requests: 1,
        max_requests: None,
        max_pending: None,
        max_open_percent: 100,
    };
    let mut members = members(letters);
    for (member, letter) in members.iter_mut().zip(circuits.chars()) {
        let circuit = EndpointCircuit::new(&policy, None);
        if letter != 'c' {
            circuit.leave(circuit.enter().unwrap(), false);
            circuit.circuit().sweep(0).unwrap();
        }
        if letter == 'h' {
            circuit.circuit().sweep(1_000_000_000).unwrap();
        }
        member.circuit = Some(circuit);
    }
    members
}

#[test]
fn whose_circuit_is_open_is_not_picked_while_there_is_another() {
    for (letters, circuits, threshold, expected) in [
        ("HHH", "coc", 0, Ok((Tier::Healthy, vec![0, 2]))),
        ("HHH", "cho", 0, Ok((Tier::Healthy, vec![0, 1]))),
        // Half-open ones come along; somebody has to serve the rest.
        ("HHh", "hoc", 0, Ok((Tier::Backup, vec![0, 2]))),
        ("HHS", "ohc", 0, Ok((Tier::Starting, vec![1, 2]))),
        ("HHh", "hcc", 0, Ok((Tier::Healthy, vec![0, 1]))),
        ("Hhh", "chc", 0, Ok((Tier::Healthy, vec![0]))),
        // A pool never opens itself away.
        ("HHU", "ooc", 0, Ok((Tier::Open, vec![0, 1]))),
        ("HHU", "hoc", 0, Ok((Tier::Open, vec![0, 1]))),
        ("HHU", "ooc", 70, Ok((Tier::Panic, vec![0, 1, 2]))),
        ("EHh", "coh", 0, Ok((Tier::Open, vec![1, 2]))),
        ("UDM", "ooo", 0, Err(NoEndpoint::AllUnhealthy)),
        // An open circuit is no failed check.
        ("HH", "oc", 100, Ok((Tier::Healthy, vec![1]))),
    ] {
        let members = with_circuits(letters, circuits);
        assert_eq!(selected(&members, threshold), expected, "{letters} {circuits} {threshold}");
    }
}

#[test]
fn a_level_is_tried_beside_others() {
    let tier = |circuits| select_level(&with_circuits("HH", circuits)).map(|selection| selection.tier);
    assert_eq!(tier("co"), Ok(Tier::Healthy));
    assert_eq!(tier("ho"), Ok(Tier::Healthy));
    assert_eq!(tier("oo"), Ok(Tier::Open));
}

#[test]
fn an_operators_weight_counts() {
    let members = members("HH0");
    members[0].endpoint.set_weight_override(Some(0));
    members[2].endpoint.set_weight_override(Some(3));
    let span = Span { members: 2, total_weight: 4, least_weight: 1 };
    assert_eq!(
        select(&members, 0),
        Ok(Selection { tier: Tier::Healthy, chosen: vec![(1, 1), (2, 3)], span })
    );
}

#[test]
fn shares_scale_the_weights_of_all() {
    let members = members("HHU");
    members[1].endpoint.set_share(FULL_SHARE / 4);
    let span = Span { members: 3, total_weight: 384, least_weight: 128 };
    assert_eq!(
        select(&members, 0),
        Ok(Selection { tier: Tier::Healthy, chosen: vec![(0, 128), (1, 32)], span })
    );
}
