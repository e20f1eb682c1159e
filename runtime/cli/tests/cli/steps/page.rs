//! Parses the code blocks of a Markdown page, and the steps of a block.
//!
//! A block marked `console illustration` is not run.

use std::path::{Path, PathBuf};

/// A fenced code block.
pub struct Block {
    /// The heading of level two above it.
    pub heading: String,
    /// The text after the opening fence.
    pub language: String,
    pub text: String,
}

/// One command of a `console` block.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    pub command: String,
    /// The output that the page shows; empty if it shows none.
    pub output: String,
}

/// Returns the root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the text of a page of the repository.
pub fn read_page(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// Returns the code blocks of a page, in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let (mut found, mut heading, mut open) = (Vec::new(), String::new(), None::<Block>);
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { heading: heading.clone(), language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {
                if let Some(text) = line.strip_prefix("## ") {
                    text.clone_into(&mut heading);
                }
            }
        }
    }
    found
}

/// Returns the steps of a `console` block. Each begins with `$ `.
pub fn steps(block: &str) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), output: String::new() }),
            (None, Some(step)) => {
                step.output.push_str(line);
                step.output.push('\n');
            }
            (None, None) => panic!("a block does not begin with a step: {block}"),
        }
    }
    steps
}

/// Splits a command line into words, as a shell does. Single quotes keep blanks.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn a_block_is_split_into_steps_with_their_output() {
    let page = "# Page\n\n## Run it\n\n```console\n$ tidemill run greet --input '{\"name\": \"Ada\"}'\n\"Hello\"\n\n$ tidemill runs list\n```\n";
    let blocks = blocks(page);
    assert_eq!((blocks.len(), blocks[0].heading.as_str(), blocks[0].language.as_str()), (1, "Run it", "console"));
    let steps = steps(&blocks[0].text);
    assert_eq!(steps.iter().map(|step| step.output.as_str()).collect::<Vec<_>>(), ["\"Hello\"\n\n", ""]);
    assert_eq!(words(&steps[0].command), ["tidemill", "run", "greet", "--input", "{\"name\": \"Ada\"}"]);
}
