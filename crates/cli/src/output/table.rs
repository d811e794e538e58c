//! Tables: aligned columns, cut to the terminal's width.

use super::one_line;

/// Between two columns.
const GAP: usize = 2;
/// A flexible column is not made narrower than this.
const FLEXIBLE_MIN: usize = 8;
/// Stands for what was cut.
const CUT: char = '…';

/// The head of a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    flexible: bool,
}

/// A column that is always shown whole: identifiers, states, times.
pub(crate) const fn fixed(title: &'static str) -> Column {
    Column { title, flexible: false }
}

/// A column that may be cut: paths, names, messages.
pub(crate) const fn flexible(title: &'static str) -> Column {
    Column { title, flexible: true }
}

/// Rows of text under column heads, or pairs of name and value without heads.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    headed: bool,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows yet.
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), headed: true, rows: Vec::new() }
    }

    /// One thing, told as pairs of name and value.
    pub(crate) fn pairs<const N: usize>(pairs: [(&str, String); N]) -> Self {
        let mut table = Self { columns: vec![fixed(""), fixed("")], headed: false, rows: Vec::new() };
        for (name, value) in pairs {
            table.row([name, value.as_str()]);
        }
        table
    }

    /// Adds a row; cells come in the order of the columns.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        debug_assert_eq!(N, self.columns.len(), "each column has its cell");
        self.rows.push(cells.map(one_line).to_vec());
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The text of the table, each line ended by a line feed, within so many columns where that can be.
    pub(crate) fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_owned()).collect();
        let head = self.headed.then_some(&titles);
        head.into_iter().chain(&self.rows).map(|cells| line(cells, &widths)).collect()
    }

    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let longest =
            |index: usize| self.rows.iter().map(|row| row[index].chars().count()).max().unwrap_or_default();
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| longest(index).max(column.title.chars().count()))
            .collect();
        let Some(available) = width else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > available {
            let widest = (0..widths.len())
                .filter(|index| self.columns[*index].flexible && widths[*index] > FLEXIBLE_MIN)
                .max_by_key(|index| widths[*index]);
            match widest {
                Some(index) => widths[index] -= 1,
                None => break,
            }
        }
        widths
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let length = cell.chars().count();
        if length > *width {
            line.extend(cell.chars().take(width.saturating_sub(1)));
            line.push(CUT);
        } else {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - length));
        }
        line.extend(std::iter::repeat_n(' ', GAP));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores() -> Table {
        let mut table = Table::new(&[fixed("ID"), flexible("PATH"), flexible("MESSAGE")]);
        table.row(["7a6f1c52", "/etc/nginx/tls/www.example.test", "written and read back"]);
        table.row(["2", "Ünïcode", ""]);
        table
    }

    #[test]
    fn columns_are_aligned_and_lines_end_with_text() {
        assert_eq!(
            stores().render(None),
            "ID        PATH                             MESSAGE\n\
             7a6f1c52  /etc/nginx/tls/www.example.test  written and read back\n\
             2         Ünïcode\n"
        );
    }

    #[test]
    fn flexible_columns_are_cut_to_the_width_and_the_widest_first() {
        let text = stores().render(Some(40));
        assert_eq!(
            text,
            "ID        PATH            MESSAGE\n\
             7a6f1c52  /etc/nginx/tl…  written and r…\n\
             2         Ünïcode\n"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn identifiers_are_never_cut() {
        let text = stores().render(Some(10));
        assert!(text.contains("7a6f1c52  /etc/ng…  written…"), "{text}");
    }

    #[test]
    fn a_line_end_in_a_cell_stays_in_its_row() {
        let mut table = Table::new(&[flexible("MESSAGE")]);
        table.row(["two\nlines"]);
        assert_eq!(table.render(None), "MESSAGE\ntwo lines\n");
    }

    #[test]
    fn pairs_have_no_head() {
        let table = Table::pairs([("Id", "512".to_owned()), ("Thumbprint", "9F0C".to_owned())]);
        assert_eq!(table.render(Some(20)), "Id          512\nThumbprint  9F0C\n");
        assert_eq!(Table::new(&[fixed("ID")]).render(None), "ID\n");
    }
}
