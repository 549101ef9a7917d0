//! The public key of a certificate of version 1, which webpki does not read and `openssl x509 -req` makes by default.

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
/// Bytes of a length; a certificate of sixteen megabytes is none.
const LONGEST: usize = 3;

/// Returns the DER of the public key; none when this is no certificate of version 1.
pub(super) fn public_key(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut fields, _) = value(certificate, SEQUENCE)?;
    // Serial number, algorithm, issuer, validity, subject: version 1 has no field for the version.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        (_, fields) = value(fields, tag)?;
    }
    let (_, rest) = value(fields, SEQUENCE)?;
    fields.get(..fields.len() - rest.len())
}

/// Takes the first value apart: what is in it, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    if first < 0x80 {
        return rest.split_at_checked(first.into());
    }
    let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    if digits.len() > LONGEST {
        return None;
    }
    let length = digits.iter().fold(0, |length, &digit| (length << 8) | usize::from(digit));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_is_the_sixth_field_and_other_versions_have_another_first() {
        let field = |tag: u8, bytes: &[u8]| {
            let mut out = vec![tag, u8::try_from(bytes.len()).expect("short")];
            out.extend(bytes);
            out
        };
        let key = field(SEQUENCE, b"key");
        let empty = field(SEQUENCE, b"");
        let fields =
            [field(INTEGER, &[1]), empty.clone(), empty.clone(), empty.clone(), empty, key.clone()]
                .concat();
        let certificate = |fields: &[u8]| field(SEQUENCE, &field(SEQUENCE, fields));
        assert_eq!(public_key(&certificate(&fields)), Some(&key[..]));
        let third = [field(0xa0, &[INTEGER, 1, 2]), fields].concat();
        assert_eq!(public_key(&certificate(&third)), None);
        assert_eq!(public_key(&[SEQUENCE, 0x84, 1, 1, 1, 1]), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(der in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = public_key(&der);
            let _ = public_key(&[&[SEQUENCE, 62, SEQUENCE, 60][..], &der].concat());
        }
    }
}
