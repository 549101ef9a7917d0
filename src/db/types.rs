//! Postgres types that the driver lacks: `xid8`, `pg_snapshot`, JSON as text, and times in microseconds.

use bytes::{BufMut, Bytes, BytesMut};
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::{change::Json, cursor::Snapshot};

type BoxError = Box<dyn std::error::Error + Sync + Send>;

/// An `xid8`: a transaction's number with its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xid(pub u64);

/// A `timestamptz`, in microseconds since 1970; the infinities are the ends of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub i64);

/// From 1970 to 2000, where Postgres starts to count, in microseconds.
const EPOCH: i64 = 946_684_800_000_000;
/// The number of a jsonb's binary form.
const JSONB_VERSION: u8 = 1;

impl<'a> FromSql<'a> for Xid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(u64::from_be_bytes(raw.try_into()?)))
    }

    accepts!(XID8);
}

impl ToSql for Xid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_u64(self.0);
        Ok(IsNull::No)
    }

    accepts!(XID8);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Micros {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(match i64::from_be_bytes(raw.try_into()?) {
            i64::MAX => i64::MAX,
            i64::MIN => i64::MIN,
            since_2000 => since_2000.saturating_add(EPOCH),
        }))
    }

    accepts!(TIMESTAMPTZ);
}

impl ToSql for Micros {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_i64(match self.0 {
            i64::MAX => i64::MAX,
            since_1970 => since_1970.saturating_sub(EPOCH),
        });
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

/// The binary form: `int4` count, `int8` xmin, `int8` xmax, then the open transactions, ascending.
impl<'a> FromSql<'a> for Snapshot {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let (count, numbers) = raw.split_first_chunk::<4>().ok_or("a snapshot without a count")?;
        let mut numbers = numbers
            .chunks_exact(8)
            .map(|chunk| chunk.iter().fold(0u64, |number, &byte| (number << 8) | u64::from(byte)));
        let xmin = numbers.next().ok_or("a snapshot without xmin")?;
        let xmax = numbers.next().ok_or("a snapshot without xmax")?;
        let xip: Vec<u64> = numbers.collect();
        if usize::try_from(i32::from_be_bytes(*count)) != Ok(xip.len()) {
            return Err("a snapshot whose count is wrong".into());
        }
        Self::new(xmin, xmax, xip).ok_or_else(|| "a snapshot out of order".into())
    }

    accepts!(PG_SNAPSHOT);
}

impl ToSql for Snapshot {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_i32(i32::try_from(self.xip().len())?);
        for number in [self.xmin(), self.xmax()].iter().chain(self.xip()) {
            out.put_u64(*number);
        }
        Ok(IsNull::No)
    }

    accepts!(PG_SNAPSHOT);
    to_sql_checked!();
}

/// Takes the text as it is: parsing and printing it again costs thirty times as much.
impl<'a> FromSql<'a> for Json {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let text = match (ty, raw.split_first()) {
            (&Type::JSONB, Some((&JSONB_VERSION, text))) => text,
            (&Type::JSONB, _) => return Err("a jsonb of an unknown version".into()),
            _ => raw,
        };
        Self::from_database(Bytes::copy_from_slice(text))
            .ok_or_else(|| "JSON that is not UTF-8".into())
    }

    accepts!(JSON, JSONB);
}

impl ToSql for Json {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        if *ty == Type::JSONB {
            out.put_u8(JSONB_VERSION);
        }
        out.put_slice(self.as_str().as_bytes());
        Ok(IsNull::No)
    }

    accepts!(JSON, JSONB);
    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back<T: ToSql + for<'a> FromSql<'a>>(value: &T, ty: &Type) -> T {
        let mut out = BytesMut::new();
        value.to_sql(ty, &mut out).expect("written");
        T::from_sql(ty, &out).expect("read")
    }

    #[test]
    fn values_read_back_as_they_were_written() {
        let snapshot = Snapshot::parse("10:20:10,15").expect("legal");
        assert_eq!(there_and_back(&snapshot, &Type::PG_SNAPSHOT), snapshot);
        assert_eq!(there_and_back(&Xid(u64::MAX), &Type::XID8), Xid(u64::MAX));
        for at in [0, EPOCH, i64::MAX, -1] {
            assert_eq!(there_and_back(&Micros(at), &Type::TIMESTAMPTZ), Micros(at));
        }
        let json = Json::from_database(Bytes::from_static(b"{\"a\":1}")).expect("JSON");
        assert_eq!(there_and_back(&json, &Type::JSONB), json);
        assert_eq!(there_and_back(&json, &Type::JSON), json);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_an_error(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Snapshot::from_sql(&Type::PG_SNAPSHOT, &raw);
            let _ = Json::from_sql(&Type::JSONB, &raw);
            let _ = Xid::from_sql(&Type::XID8, &raw);
            let _ = Micros::from_sql(&Type::TIMESTAMPTZ, &raw);
        }
    }
}
