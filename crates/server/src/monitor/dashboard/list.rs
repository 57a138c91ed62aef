//! Lists: searched, sorted, cut into pages.

use std::cmp::Reverse;

use serde::Serialize;

use crate::monitor::query::{BadRequest, Query};

/// Rows of one page at most.
const MAX_ROWS: usize = 200;

/// Something that is listed.
pub(super) trait Listed: Serialize {
    /// What a search looks at.
    fn texts(&self) -> Vec<String>;

    /// What a column sorts by; `None` for a column that there is not.
    fn key(&self, column: &str) -> Option<Key>;
}

/// A place in an order. All rows have the same kind for a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Number(u64),
    Text(String),
}

/// Part of a list.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    /// How many there are.
    total: usize,
    /// How many the search has found.
    matching: usize,
    offset: usize,
    rows: Vec<T>,
}

/// The part of the rows that the query asks for: `search` has words that must all be there, `sort` a column, `order=desc`, and
/// `offset` and `limit` (200 at most).
pub(super) fn page<T: Listed>(mut rows: Vec<T>, query: &Query) -> Result<Page<T>, BadRequest> {
    let page = query.page()?;
    let total = rows.len();
    let search = query.text("search").to_lowercase();
    let words: Vec<&str> = search.split_whitespace().collect();
    if !words.is_empty() {
        rows.retain(|row| {
            let texts: Vec<String> = row.texts().iter().map(|text| text.to_lowercase()).collect();
            words
                .iter()
                .all(|word| texts.iter().any(|text| text.contains(word)))
        });
    }
    let column = query.text("sort");
    if query.text("order") == "desc" {
        rows.sort_by_cached_key(|row| Reverse(row.key(column)));
    } else {
        rows.sort_by_cached_key(|row| row.key(column));
    }
    let matching = rows.len();
    let rows = rows.into_iter().skip(page.offset);
    Ok(Page {
        total,
        matching,
        offset: page.offset,
        rows: rows.take(page.limit.min(MAX_ROWS)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row(&'static str, u64);

    impl Listed for Row {
        fn texts(&self) -> Vec<String> {
            vec![self.0.to_owned()]
        }

        fn key(&self, column: &str) -> Option<Key> {
            match column {
                "name" => Some(Key::Text(self.0.to_owned())),
                "size" => Some(Key::Number(self.1)),
                _ => None,
            }
        }
    }

    #[track_caller]
    fn check(query: &str, matching: usize, names: &[&str]) {
        let rows = vec![Row("Orders eu", 3), Row("orders us", 20), Row("bills", 1)];
        let page = page(rows, &Query::parse(query)).unwrap();
        let found: Vec<_> = page.rows.iter().map(|row| row.0).collect();
        assert_eq!(
            (page.total, page.matching, &found[..]),
            (3, matching, names),
            "{query}"
        );
    }

    #[test]
    fn rows_are_searched_sorted_and_cut() {
        check("", 3, &["Orders eu", "orders us", "bills"]);
        check("sort=size", 3, &["bills", "Orders eu", "orders us"]);
        check(
            "sort=size&order=desc",
            3,
            &["orders us", "Orders eu", "bills"],
        );
        check("sort=name&limit=1&offset=1", 3, &["bills"]);
        check("search=ORDERS", 2, &["Orders eu", "orders us"]);
        check("search=us+order", 1, &["orders us"]);
        check("search=none", 0, &[]);
        check("offset=9", 3, &[]);
        assert!(page(vec![Row("", 0)], &Query::parse("limit=x")).is_err());
    }
}
