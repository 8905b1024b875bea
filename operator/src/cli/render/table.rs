//! Tables like kubectl's: no frames, columns by two blanks, fitted to the terminal.

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

use super::{Look, Tone, escape};

/// Blanks between columns.
const GAP: u16 = 2;

/// A table; `tone` says how the cell at (row, column) is meant. Every cell is escaped into one line.
pub(crate) fn table(
    look: &Look,
    columns: &[&str],
    rows: &[Vec<String>],
    tone: impl Fn(usize, usize) -> Tone,
) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if look.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    if let Some(width) = look.width.and_then(|width| u16::try_from(width).ok()) {
        table
            .set_width(width)
            .set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(columns.iter().map(|title| Cell::new(escape::line(title))));
    for (row, cells) in rows.iter().enumerate() {
        table.add_row(cells.iter().enumerate().map(|(column, cell)| {
            let cell = Cell::new(escape::line(cell));
            match color(tone(row, column)) {
                Some(color) if look.color => cell.fg(color),
                Some(_) | None => cell,
            }
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn color(tone: Tone) -> Option<Color> {
    match tone {
        Tone::Plain | Tone::Strong | Tone::Faint => None,
        Tone::Good => Some(Color::Green),
        Tone::Warn => Some(Color::Yellow),
        Tone::Bad => Some(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[&[&str]]) -> Vec<Vec<String>> {
        cells
            .iter()
            .map(|row| row.iter().map(|&cell| cell.to_owned()).collect())
            .collect()
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let look = Look {
            width: None,
            color: false,
        };
        let text = table(
            &look,
            &["NAME", "READY"],
            &rows(&[&["nginx", "2/2"], &["a-long-name", ""]]),
            |_, _| Tone::Plain,
        );
        assert_eq!(text, "NAME         READY\nnginx        2/2\na-long-name\n");
    }

    #[test]
    fn a_cell_cannot_break_the_table_or_colour_it() {
        let look = Look {
            width: None,
            color: false,
        };
        let text = table(&look, &["A", "B"], &rows(&[&["x\ny\u{1b}[31m", "z"]]), |_, _| {
            Tone::Plain
        });
        assert_eq!(text, "A               B\nx\\ny\\u{1b}[31m  z\n");
    }

    #[test]
    fn a_wide_table_fits_the_terminal() {
        let look = Look {
            width: Some(40),
            color: false,
        };
        let text = table(
            &look,
            &["A", "B"],
            &rows(&[&[&"word ".repeat(20), "z"]]),
            |_, _| Tone::Plain,
        );
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.lines().count() > 2);
    }

    #[test]
    fn an_empty_table_is_its_head() {
        assert_eq!(
            table(
                &Look {
                    width: Some(80),
                    color: false
                },
                &["A"],
                &[],
                |_, _| Tone::Plain
            ),
            "A\n"
        );
    }
}
