//! Schema changes: applied once, in order, each in the transaction that also notes it.
//!
//! A line that begins with `--tune ` is a statement as well, for an engine that can be told how to keep its rows on
//! the disk; to all others it is a comment. It runs after the other statements of its migration.

use super::{Result, Store, StoreError, Tx};
use crate::params;

/// One step of a schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Unique within a service; sorted order is the order of application.
    pub name: &'static str,
    /// Statements, separated by `;`, and lines that begin with `--tune `.
    pub sql: &'static str,
}

/// Tables that every service has: the event log, the inbox and the idempotency keys.
const PLATFORM: Migration = Migration {
    name: "platform-0001",
    sql: include_str!("../../migrations/0001_platform.sql"),
};

/// So often somebody else's migration may be in the way.
const TRIES: u32 = 12;

/// Brings the schema of `store` up to `migrations`, the platform's own first. Replicas that start together take
/// turns: the first does the work.
pub async fn migrate(store: &dyn Store, migrations: &[Migration]) -> Result<()> {
    let mut tries = 1;
    loop {
        match migrate_once(store, migrations).await {
            Err(StoreError::Conflict(_)) if tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

async fn migrate_once(store: &dyn Store, migrations: &[Migration]) -> Result<()> {
    let tx = store.begin().await?;
    tx.lock_schema().await?;
    tx.execute(
        "create table if not exists migrations (name text primary key)",
        &[],
    )
    .await?;
    for migration in std::iter::once(&PLATFORM).chain(migrations) {
        let fresh = tx
            .execute(
                "insert into migrations (name) values ($1) on conflict do nothing",
                params![migration.name],
            )
            .await?;
        if fresh == 0 {
            continue;
        }
        apply(&*tx, migration).await.map_err(|error| match error {
            StoreError::Conflict(_) => error,
            _ => StoreError::Engine(format!("migration {}: {error}", migration.name)),
        })?;
    }
    tx.commit().await
}

async fn apply(tx: &dyn Tx, migration: &Migration) -> Result<()> {
    let Script { statements, tunes } = Script::read(migration.sql);
    for statement in statements {
        tx.execute(statement, &[]).await?;
    }
    for statement in tunes {
        tx.tune(statement).await?;
    }
    Ok(())
}

const TUNE: &str = "--tune ";

/// The statements of a migration.
#[derive(Debug, Default, PartialEq, Eq)]
struct Script<'a> {
    statements: Vec<&'a str>,
    tunes: Vec<&'a str>,
}

impl<'a> Script<'a> {
    /// Where statements end. What stands in a text, in a quoted name or in a comment ends none.
    fn read(sql: &'a str) -> Self {
        let mut script = Self::default();
        let (mut begin, mut at) = (0, 0);
        let mut has_code = false;
        while at < sql.len() {
            let (piece, length) = Piece::first_of(&sql[at..]);
            let end = at + length;
            match piece {
                Piece::Code => has_code = true,
                Piece::Space => {}
                Piece::Comment => {
                    let begins_line = sql[..at].is_empty() || sql[..at].ends_with('\n');
                    let tune = sql[at..end].strip_prefix(TUNE).filter(|_| begins_line);
                    let tune = tune.map(|tune| tune.trim_end().trim_end_matches(';'));
                    script.tunes.extend(tune);
                }
                Piece::End => {
                    script.end(&sql[begin..at], has_code);
                    (begin, has_code) = (end, false);
                }
            }
            at = end;
        }
        script.end(&sql[begin..], has_code);
        script
    }

    fn end(&mut self, statement: &'a str, has_code: bool) {
        if has_code {
            self.statements.push(statement.trim());
        }
    }
}

/// What a piece of SQL is, as far as it matters for where statements end.
enum Piece {
    /// `;`
    End,
    Space,
    Comment,
    /// All else; texts and names in one piece.
    Code,
}

impl Piece {
    /// The piece with which `sql` begins, and its length in bytes. What is never closed goes on to the end.
    fn first_of(sql: &str) -> (Self, usize) {
        let past = |close: &str, from: usize| {
            let found = sql[from..].find(close);
            found.map_or(sql.len(), |found| from + found + close.len())
        };
        if sql.starts_with("--") {
            return (Self::Comment, sql.find('\n').unwrap_or(sql.len()));
        }
        if sql.starts_with("/*") {
            return (Self::Comment, past("*/", 2));
        }
        // A quote that is doubled stands for itself: two pieces, which are code both.
        if sql.starts_with(['\'', '"']) {
            return (Self::Code, past(&sql[..1], 1));
        }
        if let Some(tag) = dollars(sql) {
            return (Self::Code, past(tag, tag.len()));
        }
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let word = sql.find(|c| !is_word(c)).unwrap_or(sql.len());
        match sql.chars().next() {
            Some(';') => (Self::End, 1),
            Some(c) if c.is_whitespace() => (Self::Space, c.len_utf8()),
            // A `$` in the middle of a word quotes nothing.
            Some(c) => (Self::Code, word.max(c.len_utf8())),
            None => (Self::Space, 0),
        }
    }
}

/// `$$` or `$name$` at the beginning of `sql`: a quote that ends with the same.
fn dollars(sql: &str) -> Option<&str> {
    let rest = sql.strip_prefix('$')?;
    let name = &rest[..rest.find('$')?];
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_name = is_name && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name.then(|| &sql[..name.len() + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(sql: &str) -> Vec<&str> {
        Script::read(sql).statements
    }

    #[test]
    fn only_a_semicolon_outside_of_texts_names_and_comments_ends_a_statement() {
        assert_eq!(statements("a; b ;;\n c"), ["a", "b", "c"]);
        for whole in [
            "select ';'",
            "select 'it''s; so'",
            "select \"a;b\"",
            "select 1 -- one; two\n + 1",
            "select /* one; 'two */ 1",
            "select '--', ';'",
            "select $$one; $ two$$",
            "select $a$ ; $$ ; $a$",
            "select a$b, ';', c$b",
            "select '€;'",
        ] {
            assert_eq!(statements(&format!("{whole}; b")), [whole, "b"]);
        }
        assert_eq!(statements("select $1; b$"), ["select $1", "b$"]);
        assert_eq!(statements("-- only; a comment\n; /* ; */ \n"), [""; 0]);
        // The engine says what is wrong with it.
        assert_eq!(statements("a 'b; c"), ["a 'b; c"]);
    }

    #[test]
    fn a_tune_stands_at_the_beginning_of_a_line_and_in_no_text() {
        let sql =
            "--tune one;\na '\n--tune two' b --tune three\n;/*\n--tune four*/\n--tune five\nc";
        let script = Script {
            statements: vec![
                "--tune one;\na '\n--tune two' b --tune three",
                "/*\n--tune four*/\n--tune five\nc",
            ],
            tunes: vec!["one", "five"],
        };
        assert_eq!(Script::read(sql), script);
    }
}
