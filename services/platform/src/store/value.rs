//! Values that go into statements and come out of rows: text, 64-bit integers and null, nothing else.

use super::{Result, StoreError};
use std::borrow::Cow;
use uuid::Uuid;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 64-bit integers.
    Int,
    /// Text.
    Text,
}

/// A parameter of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param<'a> {
    /// SQL null.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// Text.
    Text(Cow<'a, str>),
}

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Param<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<Uuid> for Param<'_> {
    fn from(value: Uuid) -> Self {
        Self::Text(Cow::Owned(value.to_string()))
    }
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A slice of [`Param`]s from anything that converts into one.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[ $( $crate::store::Param::from($value) ),* ] };
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL null.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// Text.
    Text(String),
}

/// A row that a statement returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// The value in `column`.
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T> {
        let value = self.0.get(column);
        value
            .and_then(T::from_value)
            .ok_or_else(|| unexpected(column, value))
    }

    /// The value in `column`, taken through a fallible conversion: `row.via::<i64, Cents>(2)`.
    pub fn via<T: FromValue, U: TryFrom<T>>(&self, column: usize) -> Result<U> {
        U::try_from(self.get(column)?).map_err(|_| unexpected(column, self.0.get(column)))
    }

    /// The text in `column`, read by `parse`.
    pub fn parsed<T>(&self, column: usize, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        parse(&self.get::<String>(column)?).ok_or_else(|| unexpected(column, self.0.get(column)))
    }

    /// The text in `column`, read by `parse`; none when it is null.
    pub fn parsed_opt<T>(
        &self,
        column: usize,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.parsed(column, parse).map(Some),
        }
    }
}

fn unexpected(column: usize, found: Option<&Value>) -> StoreError {
    StoreError::Column {
        column,
        found: format!("{found:?}"),
    }
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// None when the value is of another kind.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(int) => Some(*int),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue for Uuid {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Uuid::try_parse(text).ok(),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}
