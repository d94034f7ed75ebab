//! A run on disk: `runs/<id>/`, one file a source. A run is judged from its own recording, so that the same files
//! give the same verdict at any later time.
//!
//! `files.json` is written last and says how many lines and bytes each file has. A file that is shorter is not
//! evidence of less, it is no evidence.

use crate::evidence::{Evidence, Reader, Source};
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

const PLAN: &str = "plan.json";
const FILES: &str = "files.json";

/// What is in the files of a recording.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Files {
    /// Lines and bytes of each file.
    files: BTreeMap<String, Size>,
    /// Sources that could not be read, and why.
    missing: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Size {
    lines: u64,
    bytes: u64,
}

/// A recording that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A file cannot be written or read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder is none.
    #[error(
        "{dir} is no recording: there is no {PLAN} in it (it is written in the end, so an interrupted run has none)",
        dir = dir.display()
    )]
    None {
        /// Which.
        dir: PathBuf,
    },
    /// The plan is none that a run can have had.
    #[error("{path} is not part of a recording: {problem}", path = path.display())]
    Plan {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file is not what it should be.
    #[error("{path} is not part of a recording: {source}", path = path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
}

type Result<T> = std::result::Result<T, RecordingError>;

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder {
    dir: PathBuf,
    files: Files,
}

/// A file of a recording that is being written.
#[derive(Debug)]
pub struct Recorded {
    source: Source,
    path: PathBuf,
    file: BufWriter<File>,
    size: Size,
}

impl Recorder {
    /// Begins the recording `name` below `root`, which is created if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create(root: &Path, name: &str) -> Result<Self> {
        let dir = root.join(name);
        fs::create_dir_all(&dir).map_err(|source| RecordingError::File {
            path: dir.clone(),
            source,
        })?;
        Ok(Self {
            dir,
            files: Files::default(),
        })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins the file of a source.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn file(&self, source: Source) -> Result<Recorded> {
        let path = self.dir.join(source.file());
        let file = File::create(&path).map_err(|error| RecordingError::File {
            path: path.clone(),
            source: error,
        })?;
        Ok(Recorded {
            source,
            path,
            file: BufWriter::with_capacity(256 * 1_024, file),
            size: Size::default(),
        })
    }

    /// Ends the file of a source.
    ///
    /// # Errors
    /// When what is left cannot be written.
    pub fn keep(&mut self, mut recorded: Recorded) -> Result<()> {
        let flushed = recorded.file.flush();
        flushed.map_err(|source| RecordingError::File {
            path: recorded.path.clone(),
            source,
        })?;
        self.files
            .files
            .insert(recorded.source.file().to_owned(), recorded.size);
        Ok(())
    }

    /// Notes that a source could not be read. What is in its file already is not looked at.
    pub fn miss(&mut self, source: Source, why: impl Into<String>) {
        self.files
            .missing
            .insert(source.file().to_owned(), why.into());
    }

    /// Writes a file that is no source: the plan, the report.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        write(&self.dir.join(name), text)
    }

    /// Ends the recording and makes it the latest.
    ///
    /// # Errors
    /// When the last files cannot be written.
    pub fn finish(self, plan: &Plan) -> Result<PathBuf> {
        write_json(&self.dir.join(PLAN), plan)?;
        write_json(&self.dir.join(FILES), &self.files)?;
        let latest = self.dir.with_file_name("latest");
        // Not every file system has links; the recording is whole without it.
        let _ = fs::remove_file(&latest);
        if let Some(name) = self.dir.file_name() {
            let _ = std::os::unix::fs::symlink(name, &latest);
        }
        Ok(self.dir)
    }
}

impl Recorded {
    /// Adds a line, given without its end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, line: &[u8]) -> Result<()> {
        self.size.lines += 1;
        self.size.bytes += line.len() as u64 + 1;
        let written = self
            .file
            .write_all(line)
            .and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| RecordingError::File {
            path: self.path.clone(),
            source,
        })
    }

    /// Adds a row as a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row(&mut self, row: &impl Serialize) -> Result<()> {
        let line = serde_json::to_vec(row).map_err(|source| RecordingError::Json {
            path: self.path.clone(),
            source,
        })?;
        self.line(&line)
    }

    /// Adds all lines of a text.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn lines(&mut self, text: &[u8]) -> Result<()> {
        let lines = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines.into_iter().try_for_each(|line| self.line(line))
    }
}

/// Reads the recording in `dir`. Sources that are not whole are missing in the evidence; only a folder that is no
/// recording at all is an error.
///
/// # Errors
/// When there is no plan in it.
pub fn read(dir: &Path) -> Result<Evidence> {
    let path = dir.join(PLAN);
    if !path.exists() {
        return Err(RecordingError::None {
            dir: dir.to_owned(),
        });
    }
    let plan: Plan = read_json(&path)?;
    if let Some(problem) = plan.problem() {
        return Err(RecordingError::Plan { path, problem });
    }
    let mut reader = Reader::default();
    let restless = plan.restless.clone();
    reader.evidence().plan = plan;
    let files: Option<Files> = read_json(&dir.join(FILES)).ok();
    for source in Source::ALL {
        let size = files
            .as_ref()
            .and_then(|files| files.files.get(source.file()));
        // A line takes more than ten bytes: what the list of files says beyond that is not true.
        let most = fs::metadata(dir.join(source.file())).map_or(0, |file| file.len() / 10);
        let lines = size.map_or(0, |size| size.lines.min(most));
        reader.reserve(source, usize::try_from(lines).unwrap_or(0));
    }
    let traced = reader.evidence().plan.traced;
    for source in Source::ALL {
        if source == Source::Spans && !traced {
            // It was known before the run that there would be none.
            continue;
        }
        let name = source.file();
        let size = match &files {
            None => Err("the recording was not finished".to_owned()),
            Some(files) => match (files.missing.get(name), files.files.get(name)) {
                (Some(why), _) => Err(why.clone()),
                (None, None) => Err(format!("{name} is not in the recording")),
                (None, Some(size)) => Ok(*size),
            },
        };
        let rest = if source.needs_rest() {
            restless.clone().map_or(Ok(()), Err)
        } else {
            Ok(())
        };
        let outcome = rest
            .and(size)
            .and_then(|size| read_source(&mut reader, dir, source, size));
        if let Err(why) = outcome {
            reader.miss(source, why);
        }
    }
    Ok(reader.finish())
}

/// Reads one source, line by line, and compares its size with what was written.
fn read_source(
    reader: &mut Reader,
    dir: &Path,
    source: Source,
    whole: Size,
) -> std::result::Result<(), String> {
    let name = source.file();
    let file = File::open(dir.join(name)).map_err(|error| format!("{name}: {error}"))?;
    let mut file = BufReader::with_capacity(256 * 1_024, file);
    let (mut line, mut size) = (String::new(), Size::default());
    loop {
        line.clear();
        let bytes = file
            .read_line(&mut line)
            .map_err(|error| format!("{name}: {error}"))?;
        if bytes == 0 {
            break;
        }
        size.bytes += bytes as u64;
        size.lines += 1;
        reader.read_line(
            source,
            usize::try_from(size.lines).unwrap_or(usize::MAX),
            line.trim_end(),
        );
    }
    if size == whole {
        return Ok(());
    }
    let (lines, bytes) = (whole.lines, whole.bytes);
    Err(format!(
        "{name} has {} lines ({} bytes), {lines} ({bytes} bytes) were written",
        size.lines, size.bytes
    ))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|source| RecordingError::File {
        path: path.to_owned(),
        source,
    })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|source| RecordingError::Json {
        path: path.to_owned(),
        source,
    })?;
    write(path, &(text + "\n"))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(|source| RecordingError::File {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| RecordingError::Json {
        path: path.to_owned(),
        source,
    })
}
