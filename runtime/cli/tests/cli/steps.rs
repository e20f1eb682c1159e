//! Follows the README, the tutorial and the next steps of each template with the real program, and
//! compares its output with the output that the pages show.

mod output;
mod page;
mod reader;

use output::masked;
use page::{blocks, read_page};
use reader::Reader;

/// The README and the tutorial both create a project named `greet`, so one test follows both in
/// turn.
#[test]
fn the_readme_and_the_tutorial_show_what_their_steps_print() {
    follow_readme();
    follow_tutorial();
}

fn follow_readme() {
    let mut reader = Reader::new("readme");
    let blocks = blocks(&read_page("README.md"));
    let consoles: Vec<_> = blocks.iter().filter(|block| block.language == "console").collect();
    assert_eq!(consoles.len(), 1, "an illustration is marked as one");
    for console in consoles {
        reader.follow(&console.text);
    }
}

fn follow_tutorial() {
    let mut reader = Reader::new("tutorial");
    let mut consoles = 0;
    for block in blocks(&read_page("docs/src/tutorial.md")) {
        match (block.heading.as_str(), block.language.as_str()) {
            ("Change it", "text") => {
                reader.edit("greet/tidemill.toml", |text| text.replace("\"Hello\"", "\"Good morning\""));
                for line in block.text.lines() {
                    assert_eq!(reader.host().line_with_prefix(line.split(':').next().unwrap()), line);
                }
            }
            ("Give it a schedule", "toml") => {
                reader.edit("greet/tidemill.toml", |text| format!("{text}\n{}", block.text));
                reader.host().line_with_prefix("greet deployed");
                reader.host().line_with_prefix("  mornings (Europe/Berlin) fires");
                assert!(reader.run("tidemill schedules list").stdout.contains("mornings"));
                assert_eq!(reader.run("tidemill schedules trigger greet mornings").code, 0);
                // A firing runs the edited code, with the schedule's input.
                reader.host().line_with("Good morning, dear everyone!");
            }
            (heading, "console") => {
                reader.follow(&block.text);
                consoles += 1;
                if heading == "Change it" {
                    reader.edit("greet/src/lib.rs", |text| text.replace("\"{}, {}!\"", "\"{}, dear {}!\""));
                    reader.host().line_with_prefix("greet deployed");
                }
            }
            _ => {}
        }
    }
    assert_eq!(consoles, 7, "an illustration is marked as one");
    reader.end_host();
}

#[test]
fn the_next_steps_of_each_template_work() {
    for (template, project) in [("workflow", "flow"), ("revenue-stream", "shop"), ("webhook", "hook")] {
        let mut reader = Reader::new(template);
        let made = reader.run(&format!("tidemill new {template} {project}"));
        let steps: Vec<_> = made.stdout.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(steps.len() >= 2, "{made:?}");
        follow_project(&mut reader, &steps.join("\n"));
        // The README inside repeats the steps from the project's folder.
        reader.end_host();
        reader.enter(project);
        let readme = std::fs::read_to_string(reader.path("README.md")).unwrap();
        for block in blocks(&readme) {
            follow_project(&mut reader, &block.text.replace("$ ", ""));
            reader.end_host();
        }
    }
}

/// Runs steps that show no output. A remark follows after at least three blanks.
fn follow_project(reader: &mut Reader, steps: &str) {
    for step in steps.lines() {
        let step = step.split("   ").next().unwrap();
        let done = reader.run(step);
        assert_eq!(done.code, 0, "$ {step}\n{done:?}");
        if step.starts_with("tidemill schedules trigger") {
            reader.host().line_with("posted");
        }
        if step == "tidemill streams list" {
            assert!(done.stdout.contains("24.99 EUR"), "{done:?}");
        }
        if step == "tidemill deliveries list" && steps.contains("curl ") {
            assert!(done.stdout.contains("hook/events"), "{done:?}");
        }
    }
}

#[test]
fn a_comparison_masks_only_what_differs_between_runs() {
    let shown = "01m7zfx5vzmwjxx1kbz8smz950  greet  succeeded  2026-11-21T16:44:20.223Z  19 ms  13,148  1.1 MiB\n\n\"runs\": 2,";
    assert_eq!(masked(shown), ["ID greet succeeded TIME DURATION NUMBER SIZE", "\"runs\": 2,"]);
    assert_eq!(masked("took 1.2 s, 2 entries"), ["took DURATION, 2 entries"]);
    assert_eq!(masked("component   sha256:179b"), ["component DIGEST"]);
}
