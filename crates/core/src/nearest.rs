//! Finds the name that was probably meant, for error messages.

/// The candidate closest to `name`, if it is close enough to be a slip: at most one edit in three characters.
///
/// Edits insert, delete or substitute one character or swap two neighbours. Among equals the first wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    // As many edits as the lengths differ are needed at least; a character has up to four bytes.
    let near = |candidate: &&str| candidate.len().abs_diff(name.len()) <= limit * 4;
    candidates
        .into_iter()
        .filter(near)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// "unknown WHAT 'NAME'", with the nearest candidate if there is one.
pub fn unknown<'a>(what: &str, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, candidates) {
        Some(meant) => format!("unknown {what} '{name}'; did you mean '{meant}'?"),
        None => format!("unknown {what} '{name}'"),
    }
}

/// The optimal string alignment distance: Levenshtein's, with swapped neighbours as one edit.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut edits = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            edits[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let substituted = edits[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                substituted.min(edits[i - 1][j] + 1).min(edits[i][j - 1] + 1)
            };
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                edits[i][j] = edits[i][j].min(edits[i - 2][j - 2] + 1);
            }
        }
    }
    edits[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in
            [("", "", 0), ("a", "", 1), ("host", "hots", 1), ("kitten", "sitting", 3), ("é", "e", 1)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn only_slips_are_named() {
        assert_eq!(unknown("pool", "ap", ["app", "db"]), "unknown pool 'ap'; did you mean 'app'?");
        assert_eq!(unknown("pool", "cache", ["app", "db"]), "unknown pool 'cache'");
    }
}
