//! A table as plain text, Markdown and LaTeX.
//!
//! Cells, headings and notes are plain text, and may have names in them. Here alone they become text of another
//! format, in which each character stands for itself.

use super::content::Table;
use std::fmt::Write as _;

/// Returns the table as plain text: columns padded with spaces, a rule under the headings, the notes below.
pub(crate) fn plain_text(table: &Table) -> String {
    let in_lines = |row: &Vec<String>| row.iter().map(|cell| in_one_line(cell)).collect();
    let headings: Vec<String> = in_lines(&table.headings);
    let rows: Vec<Vec<String>> = table.rows.iter().map(in_lines).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&headings).chain(&rows);
        cells
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.headings.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(i, (cell, &width))| {
                if i < table.n_names {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&headings);
    let rule = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    text += &("─".repeat(rule) + "\n");
    for row in &rows {
        text += &line(row);
    }
    for note in &table.notes {
        text += &format!("{}\n", in_one_line(note));
    }
    text
}

/// Returns the table as Markdown, with the notes below it.
pub(crate) fn markdown(table: &Table) -> String {
    let line = |row: &[String]| {
        let cells: Vec<String> = row.iter().map(|cell| markdown_text(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(&table.headings);
    let alignment =
        (0..table.headings.len()).map(|i| if i < table.n_names { ":--" } else { "--:" });
    text += &format!("| {} |\n", alignment.collect::<Vec<_>>().join(" | "));
    for row in &table.rows {
        text += &line(row);
    }
    for note in &table.notes {
        text += &format!("\n{}\n", markdown_text(note));
    }
    text
}

/// Returns the table as a LaTeX `tabular` with the rules of the `booktabs` package, and the notes as comments
/// above it.
pub(crate) fn latex(table: &Table) -> String {
    let mut text = String::from("% needs \\usepackage{booktabs}\n");
    for note in &table.notes {
        text += &format!("% {}\n", in_one_line(note));
    }
    let columns: String = (0..table.headings.len())
        .map(|i| if i < table.n_names { 'l' } else { 'r' })
        .collect();
    let line = |row: &[String]| {
        let cells: Vec<String> = row.iter().map(|cell| latex_text(cell)).collect();
        format!("{} \\\\\n", cells.join(" & "))
    };
    text += &format!("\\begin{{tabular}}{{{columns}}}\n\\toprule\n");
    text += &line(&table.headings);
    text += "\\midrule\n";
    for row in &table.rows {
        text += &line(row);
    }
    text + "\\bottomrule\n\\end{tabular}\n"
}

/// Returns `text` with a space for each control character and line separator: as one line, which moves no
/// cursor.
fn in_one_line(text: &str) -> String {
    let breaks = |symbol: char| symbol.is_control() || matches!(symbol, '\u{2028}' | '\u{2029}');
    text.replace(breaks, " ")
}

/// Returns plain text as Markdown.
pub(crate) fn markdown_text(text: &str) -> String {
    let mut written = String::new();
    for symbol in in_one_line(text).chars() {
        if matches!(
            symbol,
            '\\' | '`'
                | '*'
                | '_'
                | '{'
                | '}'
                | '['
                | ']'
                | '<'
                | '>'
                | '|'
                | '&'
                | '~'
                | '$'
                | '#'
        ) {
            written.push('\\');
        }
        written.push(symbol);
    }
    written
}

fn latex_text(cell: &str) -> String {
    let cell = in_one_line(cell);
    let mut text = String::new();
    let mut previous = ' ';
    for (i, symbol) in cell.char_indices() {
        let digit_follows = cell[i + symbol.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        let written = match symbol {
            '-' if previous == ' ' && digit_follows => text.write_str("$-$"),
            '±' => text.write_str("$\\pm$"),
            '–' => text.write_str("--"),
            '\\' => text.write_str("\\textbackslash{}"),
            '~' => text.write_str("\\textasciitilde{}"),
            '^' => text.write_str("\\textasciicircum{}"),
            '<' => text.write_str("\\textless{}"),
            '>' => text.write_str("\\textgreater{}"),
            '|' => text.write_str("\\textbar{}"),
            '`' => text.write_str("\\textasciigrave{}"),
            // At the start of a row, `\\` at the end of the row before would take these for its arguments.
            '*' | '[' | ']' => write!(text, "{{{symbol}}}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => write!(text, "\\{symbol}"),
            other => text.write_char(other),
        };
        written.expect("a String takes every character");
        previous = symbol;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latex_specials_are_escaped_and_signs_are_set_as_maths() {
        assert_eq!(latex_text("a_b & 5%"), "a\\_b \\& 5\\%");
        assert_eq!(latex_text("-0.2 ± 0.1 (-3)"), "$-$0.2 $\\pm$ 0.1 (-3)");
        assert_eq!(latex_text("mlp-64"), "mlp-64");
        assert_eq!(
            latex_text("\\x{~^}"),
            "\\textbackslash{}x\\{\\textasciitilde{}\\textasciicircum{}\\}"
        );
    }

    #[test]
    fn what_begins_a_latex_row_is_no_argument_of_the_line_break_before() {
        let text = latex(&table_of("[2pt]", ""));
        assert!(text.contains("\\midrule\n{[}2pt{]} \\\\\n"), "{text}");
        assert_eq!(
            latex_text("*a|b`<c>"),
            "{*}a\\textbar{}b\\textasciigrave{}\\textless{}c\\textgreater{}"
        );
    }

    /// A table of one name, with a note.
    fn table_of(name: &str, note: &str) -> Table {
        Table {
            headings: vec!["name".into()],
            rows: vec![vec![name.into()]],
            n_names: 1,
            notes: vec![note.into()],
        }
    }

    #[test]
    fn markup_in_a_cell_or_a_note_is_text_in_markdown() {
        let text = markdown(&table_of("a|b", "*c*"));
        assert_eq!(text, "| name |\n| :-- |\n| a\\|b |\n\n\\*c\\*\n");
        assert_eq!(
            markdown_text("mlp-64 0.5 ± 0.1 (3)"),
            "mlp-64 0.5 ± 0.1 (3)"
        );
        assert_eq!(
            markdown_text("<b>![a](u)</b> `c` _d_ ~e~ &lt; $f$ #1 {g} \\|"),
            "\\<b\\>!\\[a\\](u)\\</b\\> \\`c\\` \\_d\\_ \\~e\\~ \\&lt; \\$f\\$ \\#1 \\{g\\} \\\\\\|"
        );
    }

    #[test]
    fn a_line_break_or_a_control_character_does_not_break_a_table_apart() {
        let hostile = table_of("a\nb\r\nc\u{1b}[31m\u{2028}d", "e\n\nf\rg");
        for (text, lines) in [
            (plain_text(&hostile), 4),
            (markdown(&hostile), 5),
            (latex(&hostile), 9),
        ] {
            assert_eq!(text.lines().count(), lines, "{text}");
            assert!(!text.contains(['\r', '\u{1b}', '\u{2028}']), "{text:?}");
        }
        assert!(latex(&hostile).contains("% e  f g\n"));
    }
}
