//! The little of DNS that a health check needs: a question, and whether an answer belongs to it (RFC 1035 §4.1).

/// The flag that marks a response, and the one that asks for recursion.
const RESPONSE: u8 = 0x80;
const RECURSION_DESIRED: u8 = 0x01;
/// Class IN.
const INTERNET: u16 = 1;

/// A name as DNS writes it: labels behind their lengths, the root's empty one last. `None` for what is no name.
pub fn encode(name: &str) -> Option<Vec<u8>> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let mut out = Vec::with_capacity(bare.len() + 2);
    if !bare.is_empty() {
        for label in bare.split('.') {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
            out.push(length);
            out.extend_from_slice(label.as_bytes());
        }
    }
    out.push(0);
    // RFC 1035 §2.3.4.
    (out.len() <= 255 && name.is_ascii()).then_some(out)
}

/// A question for the records of one type of a name.
pub fn question(id: u16, name: &[u8], record: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(12 + name.len() + 4);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(name);
    out.extend_from_slice(&record.to_be_bytes());
    out.extend_from_slice(&INTERNET.to_be_bytes());
    out
}

/// The response code of an answer to `question`; `None` for what is no answer to it.
pub fn response_code(question: &[u8], answer: &[u8]) -> Option<u8> {
    let (asked, flags) = (question.get(..2)?, answer.get(2..4)?);
    if answer.get(..2)? != asked || flags[0] & RESPONSE == 0 {
        return None;
    }
    // A server that cannot read the question may leave it out.
    let repeats = |answer: &[u8]| {
        let (sent, got) = (question.get(12..), answer.get(12..question.len()));
        sent.zip(got).is_some_and(|(sent, got)| sent.eq_ignore_ascii_case(got))
    };
    (answer.get(4..6)? == [0, 0] || repeats(answer)).then_some(flags[1] & 0x0F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_behind_their_lengths() {
        assert_eq!(encode("a.bc.").unwrap(), b"\x01a\x02bc\0");
        assert_eq!(encode(".").unwrap(), b"\0");
        assert_eq!(encode("").unwrap(), b"\0");
        for wrong in ["a..b", ".a", &"x".repeat(64), &"ab.".repeat(90), "ä"] {
            assert_eq!(encode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_an_answer_to_the_question_counts() {
        let asked = question(0x1234, &encode("Example.com").unwrap(), 1);
        let mut answer = asked.clone();
        assert_eq!(response_code(&asked, &answer), None, "it is a question");
        answer[2] |= 0x80;
        answer[3] = 0x83;
        answer.extend_from_slice(&[0; 16]);
        assert_eq!(response_code(&asked, &answer), Some(3));
        answer[13] = b'e';
        assert_eq!(response_code(&asked, &answer), Some(3), "case does not count");
        answer[14] = b'y';
        assert_eq!(response_code(&asked, &answer), None, "another name");
        assert_eq!(
            response_code(&asked, b"\x12\x34\x80\x01\0\0\0\0\0\0\0\0"),
            Some(1),
            "FORMERR without question"
        );
        assert_eq!(response_code(&asked, b"\x12\x35\x80\x01\0\0\0\0\0\0\0\0"), None, "another id");
        for length in 0..6 {
            assert_eq!(response_code(&asked, &answer[..length]), None);
        }
    }
}
