//! Figures of interleaved rounds, and their ratios.

/// One scenario's figures: a row a contender, a column a round. Higher is better.
pub struct Table {
    name: String,
    unit: String,
    rows: Vec<(&'static str, Vec<Option<f64>>)>,
    rounds: usize,
}

impl Table {
    /// No figures yet.
    pub fn new(name: &str, unit: &str) -> Table {
        Table { name: name.into(), unit: unit.into(), rows: Vec::new(), rounds: 0 }
    }

    /// The next figures belong to another round.
    pub fn begin_round(&mut self) {
        self.rounds += 1;
    }

    /// Enters a contender's figure of this round; `None` is a wrong or missing one.
    pub fn enter(&mut self, name: &'static str, figure: Option<f64>) {
        let at = self.rows.iter().position(|(row, _)| *row == name);
        let at = at.unwrap_or_else(|| {
            self.rows.push((name, Vec::new()));
            self.rows.len() - 1
        });
        self.rows[at].1.push(figure);
    }

    /// Prints each contender's median, and sockit's ratio to it: the median over the rounds of
    /// the ratio inside a round.
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
