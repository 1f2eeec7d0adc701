//! The words of a search with their other forms, their synonyms, and the words that were probably meant.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::engine::Term;
use super::query::WORDS_MAX;
use super::synonyms::{STOP_WORDS, synonyms_of};
use super::typos::{is_meant, typos_allowed};

/// A word of the search with all words that it may stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The typed word, folded.
    pub typed: String,
    /// Whether it is the last word. If so, words that begin with it match too.
    pub prefix: bool,
    /// Other words of the vocabulary that match too.
    pub others: Vec<String>,
}

#[derive(QueryableByName)]
struct WordRow {
    #[diesel(sql_type = Text)]
    word: String,
    #[diesel(sql_type = Bool)]
    last: bool,
    #[diesel(sql_type = Text)]
    stem: String,
    /// Words of the vocabulary with the same stem.
    #[diesel(sql_type = Array<Text>)]
    forms: Vec<String>,
    /// Similar words of the vocabulary, if typing errors are corrected in this word.
    #[diesel(sql_type = Array<Text>)]
    alike: Vec<String>,
}

/// In which words typing errors are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistyped {
    /// In words that the vocabulary does not have in any form, and that, for the last word, begin no word of
    /// it.
    UnknownWords,
    AnyWord,
}

const LOOK_UP: &str = "
    WITH typed AS (
        SELECT word, place, place = max(place) OVER () AS last,
               coalesce((ts_lexize('pg_catalog.english_stem', word))[1], word) AS stem
        FROM unnest(string_to_array(commerce.search_query($1), ' ')) WITH ORDINALITY AS given (word, place)
        WHERE word <> '' AND length(word) <= 60),
    known AS (
        SELECT t.*, f.forms,
               cardinality(f.forms) > 0 OR EXISTS (
                   SELECT FROM commerce.search_words k WHERE k.word = t.word)
               OR t.last AND EXISTS (
                   -- All that begin with it, as the index has them: up to the last character there is.
                   SELECT FROM commerce.search_words k
                   WHERE k.word ~>=~ t.word AND k.word ~<~ (t.word || chr(1114111))) AS is_known
        FROM typed t CROSS JOIN LATERAL (
            SELECT ARRAY(SELECT DISTINCT k.word FROM commerce.search_words k WHERE k.stem = t.stem) AS forms) f)
    SELECT word, last, stem, forms,
           CASE WHEN is_known AND NOT $3 THEN '{}' ELSE ARRAY(SELECT commerce.similar_search_words(word)) END AS alike
    FROM known ORDER BY place LIMIT $2";

/// The words of a text, in order. Stop words are left out if there are other words.
pub async fn look_up(conn: &mut AsyncPgConnection, text: &str, mistyped: Mistyped) -> QueryResult<Vec<Word>> {
    if text.trim().is_empty() || text.contains('\0') {
        return Ok(Vec::new());
    }
    let rows: Vec<WordRow> = diesel::sql_query(LOOK_UP)
        .bind::<Text, _>(text)
        .bind::<BigInt, _>(i64::try_from(WORDS_MAX).unwrap_or(i64::MAX))
        .bind::<Bool, _>(mistyped == Mistyped::AnyWord)
        .load(conn)
        .await?;
    let all_stop = rows.iter().all(|row| STOP_WORDS.contains(&row.word.as_str()));
    let rows = rows.into_iter().filter(|row| all_stop || !STOP_WORDS.contains(&row.word.as_str()));
    Ok(rows.map(word_of).collect())
}

fn word_of(row: WordRow) -> Word {
    let meant = row.alike.into_iter().filter(|word| {
        let (typed, stem) = (typos_allowed(&row.word), typos_allowed(&row.stem));
        is_meant(&row.word, word, row.last, typed) || is_meant(&row.stem, word, false, stem)
    });
    let mut others: Vec<String> = row.forms.into_iter().chain(meant).collect();
    let named = others.iter().map(String::as_str).chain([row.word.as_str()]);
    let synonyms: Vec<String> = synonyms_of(named).into_iter().map(str::to_owned).collect();
    others.extend(synonyms);
    others.retain(|other| *other != row.word);
    others.sort();
    others.dedup();
    Word { typed: row.word, prefix: row.last, others }
}

impl Word {
    /// The word as a part of a `tsquery`. With `exact` without other words.
    pub fn tsquery(&self, exact: bool) -> String {
        let mut parts = vec![lexeme(&self.typed, if self.prefix { ":*" } else { "" })];
        if !exact {
            parts.extend(self.others.iter().map(|other| lexeme(other, "")));
        }
        format!("({})", parts.join(" | "))
    }

    /// The words to mark in a text.
    pub fn terms(&self) -> impl Iterator<Item = Term> {
        let typed = Term { word: self.typed.clone(), prefix: self.prefix, typos: 0 };
        let others = self.others.iter().map(|word| Term { word: word.clone(), prefix: false, typos: 0 });
        std::iter::once(typed).chain(others)
    }
}

fn lexeme(word: &str, suffix: &str) -> String {
    let quoted = word.replace('\\', "\\\\").replace('\'', "''");
    format!("'{quoted}'{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_the_stem_is_meant() {
        let [word, stem] = ["knives", "knive"].map(str::to_owned);
        let row = WordRow { word, last: false, stem, forms: vec![], alike: vec!["knife".into()] };
        assert_eq!(word_of(row).others, ["knife"]);
    }

    #[test]
    fn a_word_becomes_a_tsquery() {
        let word = Word { typed: "lamp".into(), prefix: true, others: vec!["lamps".into(), "o'x\\".into()] };
        assert_eq!(word.tsquery(false), r"('lamp':* | 'lamps' | 'o''x\\')");
        assert_eq!(word.tsquery(true), "('lamp':*)");
    }
}
