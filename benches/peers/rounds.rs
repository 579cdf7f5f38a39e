//! Figures of interleaved rounds, and their ratios.

/// The figures of one scenario: a row per tool, a column per round. Higher is better.
pub struct Table {
    name: String,
    unit: String,
    rows: Vec<(&'static str, Vec<Option<f64>>)>,
    rounds: usize,
}

impl Table {
    /// Returns an empty table.
    pub fn new(name: &str, unit: &str) -> Table {
        Table { name: name.into(), unit: unit.into(), rows: Vec::new(), rounds: 0 }
    }

    /// Starts the next round.
    pub fn begin_round(&mut self) {
        self.rounds += 1;
    }

    /// Adds the figure of a tool in this round; `None` if it failed.
    pub fn enter(&mut self, name: &'static str, figure: Option<f64>) {
        let at = self.rows.iter().position(|(row, _)| *row == name);
        let at = at.unwrap_or_else(|| {
            self.rows.push((name, Vec::new()));
            self.rows.len() - 1
        });
        self.rows[at].1.push(figure);
    }

    /// Prints each tool's median, and the median over the rounds of the ratio of sockit to it.
    pub fn print(&self) {
        println!("\n{} [{}, {} rounds]", self.name, self.unit, self.rounds);
        let Some((_, ours)) = self.rows.first() else { return };
        for (name, figures) in &self.rows {
            let ratios =
                ours.iter().zip(figures).filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?));
            match (median(figures.iter().flatten().copied()), median(ratios)) {
                (Some(figure), Some(ratio)) => {
                    println!("  {name:<16} {figure:>14.1}   sockit is {ratio:.2} times it");
                }
                _ => println!("  {name:<16} {:>14}   wrong or hung", "-"),
            }
        }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}
