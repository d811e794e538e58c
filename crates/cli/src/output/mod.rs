//! What the program prints: tables for people, the server's own JSON for programs.

mod table;

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};

use chrono::SecondsFormat;
use sealift_protocol::Timestamp;

use crate::client::Answer;
use crate::failure::Failure;
use crate::settings::Environment;

pub(crate) use table::{Table, fixed, flexible};

/// Columns of a terminal that does not tell.
const TERMINAL_COLUMNS: usize = 120;
/// Lines of a terminal that does not tell.
const TERMINAL_LINES: usize = 24;
/// What stands where there is no value.
const NOTHING: &str = "-";

/// The size of the terminal that is written to.
#[derive(Debug, Clone, Copy)]
struct Terminal {
    columns: usize,
    lines: usize,
}

/// Standard output, and how it is wanted.
pub(crate) struct Output {
    json: bool,
    terminal: Option<Terminal>,
    writer: RefCell<Box<dyn Write>>,
}

impl Output {
    /// Standard output.
    pub(crate) fn standard(json: bool, environment: &Environment) -> Self {
        let size =
            |name, otherwise| environment.get(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise);
        let terminal = io::stdout().is_terminal().then(|| Terminal {
            columns: size("COLUMNS", TERMINAL_COLUMNS),
            lines: size("LINES", TERMINAL_LINES),
        });
        Self { json, terminal, writer: RefCell::new(Box::new(io::stdout())) }
    }

    /// Whether the server's JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the answer: its JSON to the byte, or the table made of it.
    pub(crate) fn show(
        &self,
        answer: &Answer,
        table: impl FnOnce(&Answer) -> Result<Table, Failure>,
    ) -> Result<(), Failure> {
        if self.json { self.json(answer.body()) } else { self.table(&table(answer)?) }
    }

    /// Prints a page of a list: as [`Output::show`], and how much more there is.
    pub(crate) fn page(
        &self,
        answer: &Answer,
        table: impl FnOnce(&Answer) -> Result<Table, Failure>,
    ) -> Result<(), Failure> {
        if self.json {
            return self.json(answer.body());
        }
        let table = table(answer)?;
        self.table(&table)?;
        match answer.total() {
            Some(total) if total > table.len() as u64 => {
                self.line(&format!("{} of {total}; --page, --limit and --query show others", table.len()))
            }
            _ => Ok(()),
        }
    }

    /// Prints JSON as it is, ended by a line feed.
    pub(crate) fn json(&self, body: &[u8]) -> Result<(), Failure> {
        if body.is_empty() {
            return Ok(());
        }
        let end: &[u8] = if body.ends_with(b"\n") { b"" } else { b"\n" };
        self.write(&[body, end].concat())
    }

    /// Prints a table.
    pub(crate) fn table(&self, table: &Table) -> Result<(), Failure> {
        let width = self.terminal.map(|terminal| terminal.columns);
        self.write(table.render(width).as_bytes())
    }

    /// Prints a line of text.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.write(format!("{}\n", one_line(text)).as_bytes())
    }

    /// Tells a person something that is no output, on standard error.
    pub(crate) fn note(&self, text: &str) {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr(), "{}", one_line(text));
    }

    /// Whether a table of so many rows can be redrawn in place.
    pub(crate) fn can_redraw(&self, rows: usize) -> bool {
        !self.json && self.terminal.is_some_and(|terminal| rows + 2 < terminal.lines)
    }

    /// Prints a table over the one of so many lines printed before. Answers the lines printed now.
    ///
    /// Wrapping is off meanwhile: a line that is too long for the terminal is cut and stays one line.
    pub(crate) fn redraw(&self, table: &Table, lines_before: usize) -> Result<usize, Failure> {
        let text = table.render(self.terminal.map(|terminal| terminal.columns));
        let up = if lines_before > 0 { format!("\x1b[{lines_before}F\x1b[J") } else { String::new() };
        self.write(format!("{up}\x1b[?7l{text}\x1b[?7h").as_bytes())?;
        Ok(text.lines().count())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut writer = self.writer.borrow_mut();
        writer.write_all(bytes).and_then(|()| writer.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Operation(format!("standard output cannot be written: {error}")),
        })
    }
}

/// The text without line ends and other control characters: what a server or agent sends must neither break
/// a table nor steer the terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.trim().chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A point in time to the second, in UTC.
pub(crate) fn time(at: Timestamp) -> String {
    at.utc().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A value, or a dash.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).filter(|text| !text.is_empty()).unwrap_or_else(|| NOTHING.to_owned())
}

/// A point in time, or a dash.
pub(crate) fn time_or_dash(at: Option<Timestamp>) -> String {
    or_dash(at.map(time))
}

/// `yes` or `no`.
pub(crate) fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
pub(crate) mod captured {
    //! An output whose text can be looked at.

    use std::rc::Rc;

    use super::*;

    /// What was written so far.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Rc<RefCell<Vec<u8>>>);

    impl Captured {
        /// An output that is captured, as a pipe or as a terminal with so many columns.
        pub(crate) fn output(&self, json: bool, columns: Option<usize>) -> Output {
            let terminal = columns.map(|columns| Terminal { columns, lines: TERMINAL_LINES });
            Output { json, terminal, writer: RefCell::new(Box::new(self.clone())) }
        }

        /// The text.
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::captured::Captured;
    use super::*;

    #[test]
    fn json_is_printed_to_the_byte() {
        for body in ["{\"B\":1,  \"A\":[ ]}", "[]\n"] {
            let captured = Captured::default();
            captured.output(true, None).json(body.as_bytes()).unwrap();
            assert_eq!(captured.text(), format!("{}\n", body.trim_end()));
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(one_line("no\nsuch\x1b[31m file\r\n"), "no such [31m file");
    }

    #[test]
    fn a_redrawn_table_covers_the_one_before() {
        let captured = Captured::default();
        let output = captured.output(false, Some(80));
        let mut table = Table::new(&[fixed("JOB")]);
        table.row(["1"]);
        let lines = output.redraw(&table, 0).unwrap();
        assert_eq!(lines, 2);
        output.redraw(&table, lines).unwrap();
        assert!(captured.text().contains("\x1b[2F\x1b[J"));
        assert!(output.can_redraw(21) && !output.can_redraw(22));
    }

    #[test]
    fn a_closed_output_is_told_apart() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let output = Output { json: false, terminal: None, writer: RefCell::new(Box::new(Closed)) };
        assert!(matches!(output.line("text"), Err(Failure::OutputClosed)));
    }
}
