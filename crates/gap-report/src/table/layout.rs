//! A table as plain text, Markdown and LaTeX.

use super::content::Table;
use std::fmt::Write as _;

/// Returns the table as plain text: columns padded with spaces, a rule under the headings, the notes below.
pub(crate) fn plain_text(table: &Table) -> String {
    let width = |column: usize| {
        let cells = std::iter::once(&table.headings).chain(&table.rows);
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
    let mut text = line(&table.headings);
    let rule = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    text += &("─".repeat(rule) + "\n");
    for row in &table.rows {
        text += &line(row);
    }
    for note in &table.notes {
        text += &format!("{note}\n");
    }
    text
}

/// Returns the table as Markdown, with the notes below it.
pub(crate) fn markdown(table: &Table) -> String {
    let line = |row: &[String]| {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
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
        text += &format!("\n{note}\n");
    }
    text
}

/// Returns the table as a LaTeX `tabular` with the rules of the `booktabs` package, and the notes as comments
/// above it.
pub(crate) fn latex(table: &Table) -> String {
    let mut text = String::from("% needs \\usepackage{booktabs}\n");
    for note in &table.notes {
        text += &format!("% {}\n", note.replace('\n', " "));
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

fn latex_text(cell: &str) -> String {
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
    fn a_bar_in_a_cell_does_not_split_a_markdown_column() {
        let table = Table {
            headings: vec!["name".into()],
            rows: vec![vec!["a|b".into()]],
            n_names: 1,
            notes: vec![],
        };
        assert_eq!(markdown(&table), "| name |\n| :-- |\n| a\\|b |\n");
    }
}
