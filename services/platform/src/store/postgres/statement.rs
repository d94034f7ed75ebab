//! Many rows as one statement: each column is an array.

use super::bind::{self, Wire, wires};
use crate::store::{Change, Edit, Find, Insert, Last, Param, Result, Row, StoreError, Value};
use std::collections::BTreeMap;

/// A statement and what it is given.
pub(super) type Asked<'a> = (String, Vec<Wire<'a>>);

/// What is last, as it is sent; nothing for nothing.
pub(super) fn last<'a>(last: &'a [Last<'_>]) -> Result<Vec<Asked<'a>>> {
    let mut statements = Vec::with_capacity(last.len());
    for last in last {
        match *last {
            Last::Insert(_, []) | Last::Update(_, _, []) => {}
            Last::Insert(insert, rows) => statements.push(insertion(insert, rows)?),
            Last::Update(change, params, keys) => statements.push(update(change, params, keys)),
        }
    }
    Ok(statements)
}

/// Where in a row of `insert` its key is.
pub(super) fn key_column(insert: &Insert) -> Option<usize> {
    let key = insert.key?;
    insert.columns.iter().position(|(name, _)| *name == key)
}

/// The text in a column of a row.
pub(super) fn text<'a>(row: &'a [Param<'_>], column: usize) -> Option<&'a str> {
    match row.get(column) {
        Some(Param::Text(text)) => Some(text),
        _ => None,
    }
}

/// Rows in the order of the texts in a column. Two replicas that change the same ones wait for each other on the
/// first, not in a circle.
fn sorted<'a, 'p>(rows: &'a [Vec<Param<'p>>], column: Option<usize>) -> Vec<&'a [Param<'p>]> {
    let mut sorted: Vec<&[Param<'_>]> = rows.iter().map(Vec::as_slice).collect();
    if let Some(column) = column {
        sorted.sort_by(|a, b| text(a, column).cmp(&text(b, column)));
    }
    sorted
}

/// Inserts `rows`; the keys of the new ones are returned, if they have any.
pub(super) fn insertion<'a>(insert: &Insert, rows: &'a [Vec<Param<'_>>]) -> Result<Asked<'a>> {
    let Insert { table, columns, .. } = insert;
    let rows = sorted(rows, key_column(insert));
    let params = columns.iter().enumerate();
    let params = params.map(|(index, (_, kind))| bind::column(&rows, index, *kind));
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let (names, arrays) = (names.join(", "), numbered("$", columns.len()));
    let mut sql = format!("insert into {table} ({names}) select * from unnest({arrays})");
    if let Some(key) = insert.key {
        sql.push_str(" on conflict do nothing returning ");
        sql.push_str(key);
    }
    Ok((sql, params.collect::<Result<_>>()?))
}

/// Changes many rows in the same way.
pub(super) fn update<'a>(
    change: &Change,
    params: &'a [Param<'_>],
    keys: &'a [String],
) -> Asked<'a> {
    let Change { table, set, key } = change;
    let n = params.len() + 1;
    let sql = format!("update {table} set {set} where {key} = any(${n})");
    let mut keys: Vec<Option<&str>> = keys.iter().map(|key| Some(key.as_str())).collect();
    keys.sort_unstable();
    let mut params = wires(params);
    params.push(Wire::Texts(keys));
    (sql, params)
}

/// Changes many rows, each in its own way; the key of each changed row comes before what is told of it.
pub(super) fn edition<'a>(edit: &Edit, rows: &'a [Vec<Param<'_>>]) -> Result<Asked<'a>> {
    let Edit {
        table, given, key, ..
    } = edit;
    let rows = sorted(rows, Some(0));
    let params = given.iter().enumerate();
    let params = params.map(|(index, kind)| bind::column(&rows, index, *kind));
    let (names, arrays) = (numbered("given_", given.len()), numbered("$", given.len()));
    let texts = [edit.set, edit.guard, edit.returns];
    let [set, guard, returns] = texts.map(|text| text.replace('$', "given_"));
    let sql = format!(
        "update {table} set {set} from unnest({arrays}) as given ({names})
         where {key} = given_1 and ({guard}) returning given_1, {returns}"
    );
    Ok((sql, params.collect::<Result<_>>()?))
}

/// Looks for many rows; the key of each comes before what is told of it.
pub(super) fn search<'a>(find: &Find, keys: &'a [String]) -> Asked<'a> {
    let Find {
        table,
        columns,
        key,
    } = find;
    let sql = format!("select {key}, {columns} from {table} where {key} = any($1)");
    let keys = keys.iter().map(|key| Some(key.as_str())).collect();
    (sql, vec![Wire::Texts(keys)])
}

/// `rows` by the key in front of each, which goes.
pub(super) fn by_key(rows: Vec<Row>) -> Result<BTreeMap<String, Vec<Row>>> {
    let mut by_key: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for Row(mut values) in rows {
        match (!values.is_empty()).then(|| values.remove(0)) {
            Some(Value::Text(key)) => by_key.entry(key).or_default().push(Row(values)),
            other => {
                let found = format!("{other:?} as a key");
                return Err(StoreError::Column { column: 0, found });
            }
        }
    }
    Ok(by_key)
}

/// `$1, $2, …`
fn numbered(before: &str, n: usize) -> String {
    let all: Vec<String> = (1..=n).map(|n| format!("{before}{n}")).collect();
    all.join(", ")
}
