//! Which pool takes over from which.

use crate::document::{Document, DocumentError};
use crate::nearest::unknown;
use crate::route::PoolIndex;

/// The fallback of each pool, by place.
///
/// # Errors
/// A name that no pool has, and a chain that leads back to where it began.
pub(super) fn build(document: &Document) -> Result<Vec<Option<PoolIndex>>, DocumentError> {
    let place = |(i, pool): (usize, &crate::document::Pool)| {
        let Some(name) = &pool.fallback else { return Ok(None) };
        let known = (0..).zip(&document.pools).find(|(_, other)| other.name == *name);
        let names = || document.pools.iter().map(|other| other.name.as_str());
        known
            .map(|(place, _)| Some(PoolIndex(place)))
            .ok_or_else(|| refused(i, unknown("pool", name, names())))
    };
    let fallbacks: Vec<_> = document.pools.iter().enumerate().map(place).collect::<Result<_, _>>()?;
    for start in 0..fallbacks.len() {
        let mut here = fallbacks[start];
        // A chain without a circle is shorter than there are pools.
        for _ in 0..fallbacks.len() {
            match here {
                Some(PoolIndex(place)) if place as usize == start => {
                    return Err(refused(start, "leads back to this pool".into()));
                }
                Some(PoolIndex(place)) => here = fallbacks[place as usize],
                None => break,
            }
        }
    }
    Ok(fallbacks)
}

fn refused(place: usize, message: String) -> DocumentError {
    DocumentError::new(format!("pools[{place}].fallback"), message)
}
