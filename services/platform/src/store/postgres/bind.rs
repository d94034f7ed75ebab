//! How parameters and rows look on the wire.
//!
//! A parameter has the type of what is given, never one that the server makes up: `$1 + $1` and `select $1` mean
//! the same here as in SQLite. Only of a null nobody knows the type, and the server infers it.

use crate::store::{Kind, Param, Result, Row, StoreError, Value};
use bytes::BytesMut;
use std::error::Error;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A parameter as it is sent.
#[derive(Debug, Clone)]
pub(super) enum Wire<'a> {
    /// Null, of a type that the server infers.
    Null,
    /// A bigint.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// A column of bigints.
    Ints(Vec<Option<i64>>),
    /// A column of texts.
    Texts(Vec<Option<&'a str>>),
}

impl Wire<'_> {
    /// The type that the statement is prepared with.
    pub(super) const fn r#type(&self) -> Type {
        match self {
            Self::Null => Type::UNKNOWN,
            Self::Int(_) => Type::INT8,
            Self::Text(_) => Type::TEXT,
            Self::Ints(_) => Type::INT8_ARRAY,
            Self::Texts(_) => Type::TEXT_ARRAY,
        }
    }
}

impl<'a> From<&'a Param<'_>> for Wire<'a> {
    fn from(param: &'a Param<'_>) -> Self {
        match param {
            Param::Null => Self::Null,
            Param::Int(int) => Self::Int(*int),
            Param::Text(text) => Self::Text(text),
        }
    }
}

/// Parameters as they are sent.
pub(super) fn wires<'a>(params: &'a [Param<'_>]) -> Vec<Wire<'a>> {
    params.iter().map(Wire::from).collect()
}

/// Column `index` of `rows`, to be sent as one array.
pub(super) fn column<'a>(rows: &[&'a [Param<'_>]], index: usize, kind: Kind) -> Result<Wire<'a>> {
    let wrong = |found: Option<&Param<'_>>| {
        StoreError::Statement(format!("column {index} should be {kind:?}: {found:?}"))
    };
    match kind {
        Kind::Int => rows
            .iter()
            .map(|row| match row.get(index) {
                Some(Param::Null) => Ok(None),
                Some(Param::Int(int)) => Ok(Some(*int)),
                other => Err(wrong(other)),
            })
            .collect::<Result<_>>()
            .map(Wire::Ints),
        Kind::Text => rows
            .iter()
            .map(|row| match row.get(index) {
                Some(Param::Null) => Ok(None),
                Some(Param::Text(text)) => Ok(Some(text.as_ref())),
                other => Err(wrong(other)),
            })
            .collect::<Result<_>>()
            .map(Wire::Texts),
    }
}

impl ToSql for Wire<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(int) => int.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Ints(ints) => ints.to_sql(ty, out),
            Self::Texts(texts) => texts.to_sql(ty, out),
        }
    }

    // The statement was prepared with the types of these values.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A row as the port shows it.
pub(super) fn row(found: &tokio_postgres::Row) -> Result<Row> {
    (0..found.len())
        .map(|column| value(found, column))
        .collect::<Result<_>>()
        .map(Row)
}

fn value(row: &tokio_postgres::Row, column: usize) -> Result<Value> {
    fn get<'r, T: FromSql<'r>>(
        row: &'r tokio_postgres::Row,
        column: usize,
        into: impl Fn(T) -> Value,
    ) -> Result<Value, tokio_postgres::Error> {
        row.try_get::<_, Option<T>>(column)
            .map(|value| value.map_or(Value::Null, into))
    }
    let ty = row.columns()[column].type_();
    let read = match *ty {
        Type::INT8 => get(row, column, Value::Int),
        Type::INT4 => get(row, column, |int: i32| Value::Int(int.into())),
        Type::INT2 => get(row, column, |int: i16| Value::Int(int.into())),
        Type::BOOL => get(row, column, |is: bool| Value::Int(is.into())),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            get(row, column, Value::Text)
        }
        Type::NUMERIC => get(row, column, |number: Numeric| number.0),
        Type::FLOAT8 => get(row, column, |real: f64| Value::Text(real.to_string())),
        Type::VOID => Ok(Value::Null),
        _ => {
            let found = format!("a value of the type {ty}; cast it to text or bigint");
            return Err(StoreError::Column { column, found });
        }
    };
    read.map_err(|error| super::error::store_error(&error))
}

/// What `sum` of bigints is to PostgreSQL: whole numbers become integers again, as they are in SQLite.
struct Numeric(Value);

impl<'r> FromSql<'r> for Numeric {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let words: Vec<u16> = raw
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        let &[_, weight, sign, _, ref digits @ ..] = words.as_slice() else {
            return Err("a numeric that is too short".into());
        };
        if sign != 0 && sign != 0x4000 {
            return Ok(Self(Value::Text("not a number".to_owned())));
        }
        // Digits are to the base of 10 000, the first one times 10 000 to the power of the weight.
        let places = usize::try_from(i32::from(weight.cast_signed()) + 1).unwrap_or(0);
        let fraction = digits.get(places..).unwrap_or_default();
        if fraction.iter().any(|digit| *digit != 0) {
            return Ok(Self(Value::Text("a fraction; cast it to text".to_owned())));
        }
        let whole = (0..places).try_fold(0_i128, |whole, place| {
            let digit = i128::from(digits.get(place).copied().unwrap_or(0));
            whole.checked_mul(10_000)?.checked_add(digit)
        });
        let signed = whole.map(|whole| if sign == 0 { whole } else { -whole });
        let int = signed.and_then(|whole| i64::try_from(whole).ok());
        Ok(Self(int.map_or_else(
            || Value::Text("a number above the largest bigint".to_owned()),
            Value::Int,
        )))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::NUMERIC
    }
}
