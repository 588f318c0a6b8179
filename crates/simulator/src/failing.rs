//! What a campaign leaves of a seed that breaks a promise: the plan made small, as a list that can be run again, and the story
//! of that run; in files, and on the screen as far as somebody reads there.

use crate::campaign::Violation;
use crate::shrink::{Listed, Shrunk, shrink};
use serde::Serialize;
use serde_json::Value;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// A campaign takes no longer to make a plan small.
pub const SHRINKS_FOR: Duration = Duration::from_mins(1);
/// Of plan and story so many lines are shown.
const SHOWN: usize = 60;

/// A run that breaks a promise.
#[derive(Clone, Debug)]
pub struct FailingRun<P> {
    /// The program that runs such plans.
    pub program: &'static str,
    /// The seed that the plan was drawn from.
    pub seed: u64,
    /// The plan, made small.
    pub shrunk: Shrunk<P>,
    /// What it breaks.
    pub violation: Violation,
    /// What happens in it.
    pub story: Vec<String>,
}

/// Makes a plan small for so long at most. `broken` says which promise a plan breaks.
///
/// # Errors
/// When this one breaks none.
pub fn shrink_within<P: Listed>(
    plan: P,
    limit: Duration,
    mut broken: impl FnMut(&P) -> Option<String>,
) -> Result<Shrunk<P>, &'static str> {
    let id = broken(&plan).ok_or("this plan breaks no promise")?;
    let since = now();
    Ok(shrink(plan, |plan| broken(plan).as_ref() == Some(&id), || since.elapsed() < limit))
}

#[expect(clippy::disallowed_methods, reason = "a person waits for the plan; no run depends on it")]
fn now() -> Instant {
    Instant::now()
}

impl<P: Listed + Serialize> FailingRun<P> {
    /// Writes plan and story into the folder. Says what there is to read.
    ///
    /// # Errors
    /// When the folder takes no files.
    pub fn keep(&self, folder: &Path) -> Result<String, Box<dyn Error>> {
        std::fs::create_dir_all(folder)?;
        let file = |extension| folder.join(format!("broken-{}.{extension}", self.seed));
        let (plan, story) =
            (one_entry_a_line(&serde_json::to_value(self.shrunk.plan())?), self.story.join("\n"));
        std::fs::write(file("json"), &plan)?;
        std::fs::write(file("txt"), format!("{story}\n"))?;
        Ok(self.described((&plan, &file("json")), &file("txt"))?)
    }

    fn described(
        &self,
        (plan, plan_file): (&str, &Path),
        story_file: &Path,
    ) -> Result<String, std::fmt::Error> {
        let (mut text, mut again) =
            (String::new(), format!("{} --plan {}", self.program, plan_file.display()));
        let is_smallest = match self.shrunk {
            Shrunk::Smallest(_) => "none of its entries can be left out",
            Shrunk::CutShort(_) => {
                again += " [--shrink]";
                "cut short: there was no more time to leave out entries"
            }
        };
        let Violation { id, what } = &self.violation;
        writeln!(text, "\nseed {}, made small, breaks {id}: {what}", self.seed)?;
        writeln!(text, "its plan ({is_smallest}), run again by `{again}`:")?;
        let lines: Vec<_> = plan.lines().collect();
        lines.iter().take(SHOWN).try_for_each(|line| writeln!(text, "  {line}"))?;
        if lines.len() > SHOWN {
            writeln!(text, "  … and {} lines more in {}", lines.len() - SHOWN, plan_file.display())?;
        }
        let last = &self.story[self.story.len().saturating_sub(SHOWN)..];
        let (shown, all) = (last.len(), self.story.len());
        writeln!(text, "its story, the last {shown} of {all} lines in {}:", story_file.display())?;
        last.iter().try_for_each(|line| writeln!(text, "  {line}"))?;
        Ok(text)
    }
}

/// JSON that people read: each field, and each entry of a list of objects, has a line of its own.
fn one_entry_a_line(plan: &Value) -> String {
    let Value::Object(fields) = plan else { return plan.to_string() };
    let entries =
        |list: &[Value]| list.iter().map(|entry| format!("\n    {entry}")).collect::<Vec<_>>().join(",");
    let field = |(name, value): (&String, &Value)| match value {
        Value::Array(list) if list.iter().any(Value::is_object) => {
            format!("  \"{name}\": [{}\n  ]", entries(list))
        }
        Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_) => format!("  \"{name}\": {value}"),
    };
    format!("{{\n{}\n}}\n", fields.iter().map(field).collect::<Vec<_>>().join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn failing(shrunk: Shrunk<Plan>, story_lines: usize) -> FailingRun<Plan> {
        let violation = Violation { id: "G1".to_owned(), what: "7 of 5".to_owned() };
        let story = (0..story_lines).map(|line| format!("line {line}")).collect();
        FailingRun { program: "quorate-simulator", seed: 7, shrunk, violation, story }
    }

    fn kept(run: &FailingRun<Plan>, folder: &str) -> (String, Plan, String) {
        let folder = std::env::temp_dir().join(format!("quorate-failing-{}-{folder}", std::process::id()));
        let said = run.keep(&folder).expect("files can be written");
        let plan = std::fs::read(folder.join("broken-7.json")).expect("the plan is there");
        let story = std::fs::read_to_string(folder.join("broken-7.txt")).expect("the story is there");
        std::fs::remove_dir_all(folder).expect("files can be removed");
        (said, serde_json::from_slice(&plan).expect("it is a plan"), story)
    }

    #[test]
    fn a_small_plan_and_a_short_story_are_shown_in_full_and_the_file_can_be_run_again() {
        let mut small = Plan::of(7);
        small.requests.truncate(2);
        small.faults.clear();
        let run = failing(Shrunk::Smallest(small.clone()), 2);
        let (said, plan, story) = kept(&run, "small");
        assert_eq!((plan, story.as_str()), (small, "line 0\nline 1\n"));
        assert!(said.contains("seed 7, made small, breaks G1: 7 of 5"), "{said}");
        assert!(said.contains("none of its entries can be left out"), "{said}");
        assert!(said.ends_with("broken-7.txt:\n  line 0\n  line 1\n"), "{said}");
        assert!(!said.contains('…'), "{said}");
    }

    #[test]
    fn of_a_large_plan_the_beginning_is_shown_and_of_a_long_story_the_end() {
        let mut large = Plan::of(7);
        large.requests = large.requests.into_iter().cycle().take(2 * SHOWN).collect();
        let (said, plan, _) = kept(&failing(Shrunk::CutShort(large.clone()), 500), "large");
        assert_eq!(plan, large);
        assert!(said.contains("cut short") && said.contains("--shrink]"), "{said}");
        assert!(said.contains("lines more in "), "{said}");
        assert!(said.contains("the last 60 of 500 lines in ") && said.ends_with("  line 499\n"), "{said}");
        assert!(said.lines().count() < 2 * SHOWN + 8, "{said}");
    }

    #[test]
    fn what_breaks_nothing_cannot_be_made_small_and_without_time_nothing_is_left_out() {
        let none = shrink_within(Plan::of(7), SHRINKS_FOR, |_| None);
        assert_eq!(none, Err("this plan breaks no promise"));
        let broken = |_: &Plan| Some("G1".to_owned());
        assert_eq!(shrink_within(Plan::of(7), Duration::ZERO, broken), Ok(Shrunk::CutShort(Plan::of(7))));
    }

    #[test]
    fn a_plan_that_breaks_another_promise_is_not_the_same() {
        let broken = |plan: &Plan| Some(if plan.requests.len() > 2 { "G1" } else { "I3" }.to_owned());
        let shrunk = shrink_within(Plan::of(7), SHRINKS_FOR, broken).expect("it breaks G1");
        assert_eq!(shrunk.plan().requests.len(), 3);
    }
}
