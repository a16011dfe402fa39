//! The layout of answers for a terminal with 80 columns.
//!
//! Text is wrapped at spaces only. A word is never broken or cut, because operators copy ids, links, addresses and commands;
//! a line with a long word may be longer than 80 columns. A table whose words do not fit next to each other becomes a list
//! of fields for each row.

use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter};

/// The width of a terminal window as most systems open it.
pub(in crate::cli) const COLUMNS: usize = 80;

/// Spaces between two columns of a table.
const GAP: usize = 2;

/// A table with a head. A cell is wrapped inside its column.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let all: Vec<&[String; N]> = [&head].into_iter().chain(rows).collect();
    if let Some(widths) = column_widths(&all) {
        return all.iter().map(|row| table_row(row, &widths)).collect();
    }
    let names = head.map(|name| name.to_lowercase());
    let lists = rows.iter().map(|row| {
        let pairs: Vec<(&str, &str)> = names
            .iter()
            .zip(row)
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        fields(&pairs)
    });
    lists.collect::<Vec<_>>().join("\n")
}

/// Names and values, each pair on a line of its own. A value is wrapped next to its name.
pub(super) fn fields(pairs: &[(&str, &str)]) -> String {
    let width = pairs.iter().map(|(name, _)| display_width(name)).max();
    let width = width.unwrap_or(0);
    let rows = pairs.iter().map(|(name, value)| {
        let rest = COLUMNS.saturating_sub(width + GAP);
        table_row(&[(*name).to_owned(), (*value).to_owned()], &[width, rest])
    });
    rows.collect()
}

/// The lines of `text`, each wrapped to at most 80 columns. `first` precedes the first of all lines; the others are
/// indented by as much. A line that starts with four spaces is one to copy: it is not wrapped.
pub(super) fn paragraph(first: &str, text: &str) -> String {
    let indent = " ".repeat(display_width(first));
    let mut wrapped = String::new();
    for line in text.lines() {
        let pieces = match line.starts_with("    ") {
            true => vec![line.to_owned()],
            false => wrap(line, COLUMNS.saturating_sub(indent.len())),
        };
        for piece in pieces {
            let before = if wrapped.is_empty() { first } else { &indent };
            wrapped += format!("{before}{piece}").trim_end();
            wrapped.push('\n');
        }
    }
    wrapped
}

/// The width of each column, so that the table fits. `None` if there is no such width, because words are too long.
fn column_widths<const N: usize>(rows: &[&[String; N]]) -> Option<[usize; N]> {
    let widest = |of: fn(&str) -> usize| -> [usize; N] {
        std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| of(&row[column]));
            cells.max().unwrap_or(0)
        })
    };
    let mut widths = widest(display_width);
    let longest_words = widest(|text| {
        let words = text.split_whitespace().map(display_width);
        words.max().unwrap_or(0)
    });
    while widths.iter().sum::<usize>() + GAP * (N - 1) > COLUMNS {
        let shrinkable = (0..N).filter(|column| widths[*column] > longest_words[*column]);
        widths[shrinkable.max_by_key(|column| widths[*column])?] -= 1;
    }
    Some(widths)
}

fn table_row<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let cells: Vec<Vec<String>> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| wrap(cell, *width))
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for at in 0..height {
        let mut line = String::new();
        for (pieces, width) in cells.iter().zip(widths) {
            let piece = pieces.get(at).map_or("", String::as_str);
            let padding = (width + GAP).saturating_sub(display_width(piece));
            line = line + piece + &" ".repeat(padding);
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let options = Options::new(width)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(|line| line.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199f0a4-8f4e-7c53-b3f2-6f0c3f1d9a77";

    fn widest(text: &str) -> usize {
        text.lines().map(display_width).max().unwrap_or(0)
    }

    #[test]
    fn a_table_that_fits_has_a_line_for_each_row() {
        let row = ["ann@example.org", "アン", "2"].map(str::to_owned);
        let text = table(["E-MAIL", "NAME", "N"], &[row]);
        assert_eq!(text, "E-MAIL           NAME  N\nann@example.org  アン  2\n");
    }

    #[test]
    fn long_cells_are_wrapped_at_spaces() {
        let words = "word ".repeat(40);
        let row = [ID.to_owned(), words.trim().to_owned()];
        let text = table(["ID", "TEXT"], &[row]);
        assert!(widest(&text) <= COLUMNS && text.contains(ID), "{text}");
        assert_eq!(text.matches("word").count(), 40);
    }

    #[test] // an operator copies ids and addresses
    fn a_table_of_long_words_becomes_a_list_and_breaks_none() {
        let address = format!("{}@example.org", "a".repeat(64));
        let rows = [
            [ID.to_owned(), address.clone()],
            [ID.to_owned(), "-".into()],
        ];
        let text = table(["ID", "E-MAIL"], &rows);
        assert_eq!(
            text,
            format!("id      {ID}\ne-mail  {address}\n\nid      {ID}\ne-mail  -\n")
        );
        let link = format!("https://auth.example.com/reset?token={}", "x".repeat(80));
        let text = fields(&[("reset link", &link), ("account", "ann")]);
        assert!(text.contains(&link), "{text}");
    }

    #[test]
    fn lines_to_copy_are_not_wrapped() {
        let command = format!("    chmod 600 /{}", "d ".repeat(60).trim());
        let prose = "word ".repeat(40);
        let text = paragraph("-> ", &format!("{prose}\n{command}"));
        let (before, copied) = text.trim_end().rsplit_once('\n').expect("lines");
        assert!(before.starts_with("-> word") && widest(before) <= COLUMNS);
        assert_eq!(copied.trim_start(), command.trim_start());
    }
}
