//! Many tasks in many processes after the same one-time tokens.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};

use super::{Law, Violation};
use crate::{Cause, Failure, Key, Next, Scope, Store, Timestamp, Value};

/// A race: `tasks` tasks in each of `processes` processes try to consume each of `tokens` tokens, and
/// exactly one of them may win each.
///
/// [`Race::contest`] runs one process's share and [`Race::judge`] looks at all the wins. A test of a
/// store that processes share runs its own binary again for each process:
///
/// ```no_run
/// # use std::{path::{Path, PathBuf}, sync::Arc};
/// # use portcullis_core::{Memory, Timestamp};
/// # use portcullis_core::testing::{Part, Race};
/// # fn open(place: &Path) -> Memory { Memory::new(Timestamp::UNIX_EPOCH) }
/// // #[test]
/// fn each_token_is_consumed_once() -> Result<(), Box<dyn std::error::Error>> {
///     let race = Race::new(1_000, 64, 3);
///     if let Some(part) = Part::current() {
///         let store = Arc::new(open(part.place()));
///         part.ready()?;
///         let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
///         let wins = runtime.block_on(race.contest(&store, Timestamp::UNIX_EPOCH, part.number()))?;
///         return Ok(part.report(&wins)?);
///     }
///     let place = PathBuf::from("race.db");
///     race.judge(&Part::run("each_token_is_consumed_once", &place, race.processes())?)?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Race {
    tokens: u32,
    tasks: u32,
    processes: u32,
}

impl Race {
    /// A race of that size.
    #[must_use]
    pub const fn new(tokens: u32, tasks: u32, processes: u32) -> Self {
        Self {
            tokens,
            tasks,
            processes,
        }
    }

    /// How many processes take part.
    #[must_use]
    pub const fn processes(&self) -> u32 {
        self.processes
    }

    /// Runs this process's tasks and answers the tokens they won, repeated if one was won twice.
    ///
    /// Half the tasks walk the tokens in one order, so that all meet at each; the other half in orders
    /// of their own made from `seed`.
    ///
    /// # Errors
    /// What the store answers, other than a contention that passes.
    pub async fn contest<S: Store + 'static>(
        &self,
        store: &Arc<S>,
        now: Timestamp,
        seed: u64,
    ) -> Result<Vec<u32>, Failure> {
        let mut tasks = JoinSet::new();
        // All start at once: a task that began alone could win every token before the next one.
        let start = Arc::new(Barrier::new(
            usize::try_from(self.tasks).unwrap_or(usize::MAX),
        ));
        for task in 0..self.tasks {
            let mut order: Vec<u32> = (0..self.tokens).collect();
            if task % 2 == 1 {
                shuffle(&mut order, seed.rotate_left(32) ^ u64::from(task));
            }
            let (store, start) = (Arc::clone(store), Arc::clone(&start));
            tasks.spawn(async move {
                start.wait().await;
                let mut won = Vec::new();
                for token in order {
                    if consume(&*store, token, now).await? {
                        won.push(token);
                    }
                }
                Ok::<_, Failure>(won)
            });
        }
        let mut wins = Vec::new();
        while let Some(task) = tasks.join_next().await {
            let died = |_| Failure::Unknown(Cause::Backend("a task of the race died".into()));
            wins.append(&mut task.map_err(died)??);
        }
        Ok(wins)
    }

    /// Whether the wins of all processes together are each token exactly once.
    ///
    /// # Errors
    /// A [`Violation`] of [`Law::OneAct`] that names the first token won twice or never.
    pub fn judge(&self, wins: &[u32]) -> Result<(), Violation> {
        let mut sorted = wins.to_vec();
        sorted.sort_unstable();
        for token in 0..self.tokens {
            let times = sorted
                .partition_point(|win| *win <= token)
                .saturating_sub(sorted.partition_point(|win| *win < token));
            if times != 1 {
                let what = format!("token {token} was won {times} times");
                return Err(Violation::new(Law::OneAct, what));
            }
        }
        match sorted.last() {
            Some(last) if *last >= self.tokens => {
                let what = format!("token {last} was won and is not in the race");
                Err(Violation::new(Law::OneAct, what))
            }
            _ => Ok(()),
        }
    }
}

/// Whether this call was the one that consumed the token.
async fn consume<S: Store>(store: &S, token: u32, now: Timestamp) -> Result<bool, Failure> {
    for _ in 0..ATTEMPTS {
        let step = |current: Option<&[u8]>| match current {
            Some(_) => (false, Next::Keep),
            None => (
                true,
                Next::Put {
                    value: Value::new(&[1]),
                    expires_at: Timestamp::MAX,
                },
            ),
        };
        let key = Key::new(TOKEN, &token.to_be_bytes());
        match store.update(key, now, step).await {
            Err(Failure::Contended) => yield_now().await,
            answer => return answer,
        }
    }
    Err(Failure::Contended)
}

/// Fisher and Yates, over a generator that is the same everywhere.
fn shuffle(order: &mut [u32], mut seed: u64) {
    for last in (1..order.len()).rev() {
        // SplitMix64.
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let below = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
        let other = (mixed >> 11).checked_rem(below).unwrap_or(0);
        order.swap(last, usize::try_from(other).unwrap_or(0));
    }
}

/// One process's share of a test that several processes run: the same test, run again by the same
/// binary, told by its environment where the store is and which share is its own.
#[derive(Clone, Debug)]
pub struct Part {
    place: PathBuf,
    number: u64,
}

impl Part {
    /// The share that this process was started for; none in the process that starts them.
    #[must_use]
    pub fn current() -> Option<Self> {
        let place = std::env::var_os(PLACE)?.into();
        let number = std::env::var(NUMBER).ok()?.parse().ok()?;
        Some(Self { place, number })
    }

    /// Where the store is.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Which share this is, counted from 0.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Says that this process is ready, and waits until all are.
    ///
    /// # Errors
    /// When the starting process has gone away.
    pub fn ready(&self) -> io::Result<()> {
        say(READY)?;
        let mut go = [0];
        io::stdin().lock().read_exact(&mut go)
    }

    /// Hands numbers to the starting process; may be called again for more.
    ///
    /// # Errors
    /// When the starting process has gone away.
    pub fn report(&self, numbers: &[u32]) -> io::Result<()> {
        // Short lines: a reader may stop between any two of them.
        for some in numbers.chunks(64) {
            let words: Vec<String> = some.iter().map(u32::to_string).collect();
            say(&format!("{REPORT} {}", words.join(" ")))?;
        }
        Ok(())
    }

    /// The numbers in one line of a process's output; none in other lines.
    fn reported(line: &str) -> Vec<u32> {
        line.strip_prefix(REPORT)
            .map(|rest| {
                rest.split(' ')
                    .filter_map(|word| word.parse().ok())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// A command that runs the test named `test` of the running binary as share `number`.
    ///
    /// # Errors
    /// When the running binary cannot be found.
    pub fn command(test: &str, place: &Path, number: u64) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--exact", test, "--nocapture"])
            .env(PLACE, place)
            .env(NUMBER, number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Ok(command)
    }

    /// Starts a command of [`Part::command`] and answers once it is [`Part::ready`].
    ///
    /// # Errors
    /// When it does not start, or ends before it is ready.
    pub fn start(command: &mut Command) -> io::Result<Started> {
        let mut child = command.spawn()?;
        let missing = || io::Error::other("the process has no output");
        let mut lines = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let mut line = String::new();
        while line.trim_end() != READY {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                child.wait()?;
                return Err(io::Error::other("a process ended before it was ready"));
            }
        }
        let lines = Box::new(lines);
        Ok(Started { child, lines })
    }

    /// Runs `test` in that many processes at once and answers all that they reported.
    ///
    /// # Errors
    /// When a process cannot be started or fails.
    pub fn run(test: &str, place: &Path, processes: u32) -> io::Result<Vec<u32>> {
        let mut started = Vec::new();
        for number in 0..processes {
            let mut command = Self::command(test, place, u64::from(number))?;
            started.push(Self::start(&mut command)?);
        }
        for process in &mut started {
            process.go()?;
        }
        let readers: Vec<_> = started
            .into_iter()
            .map(|process| std::thread::spawn(move || process.finish()))
            .collect();
        let mut numbers = Vec::new();
        for reader in readers {
            let died = |_| io::Error::other("a reader died");
            numbers.append(&mut reader.join().map_err(died)??);
        }
        Ok(numbers)
    }
}

/// A process that is ready and waits for [`Started::go`].
pub struct Started {
    child: Child,
    lines: Box<dyn BufRead + Send>,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started")
            .field("id", &self.child.id())
            .finish_non_exhaustive()
    }
}

impl Started {
    /// Lets it begin.
    ///
    /// # Errors
    /// When it has ended.
    pub fn go(&mut self) -> io::Result<()> {
        let gone = || io::Error::other("the process has no input");
        let mut input = self.child.stdin.take().ok_or_else(gone)?;
        input.write_all(b"\n")
    }

    /// The next numbers it reports; none when it has ended.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub fn next_report(&mut self) -> io::Result<Option<Vec<u32>>> {
        let mut line = String::new();
        while self.lines.read_line(&mut line)? > 0 {
            // A line without its end was cut short by the process's end: its last number may be too.
            let numbers = line.strip_suffix('\n').map(Part::reported);
            if let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) {
                return Ok(Some(numbers));
            }
            line.clear();
        }
        Ok(None)
    }

    /// Ends it at once, as `kill -9` does, and answers what it had reported and was not yet read.
    ///
    /// # Errors
    /// When it cannot be ended or read.
    pub fn kill(mut self) -> io::Result<Vec<u32>> {
        self.child.kill()?;
        let rest = self.rest()?;
        self.child.wait()?;
        Ok(rest)
    }

    /// Waits for its end and answers what it reported and was not yet read.
    ///
    /// # Errors
    /// When it fails.
    pub fn finish(mut self) -> io::Result<Vec<u32>> {
        let rest = self.rest()?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(io::Error::other(format!("a process ended with {status}")));
        }
        Ok(rest)
    }

    fn rest(&mut self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        while let Some(mut more) = self.next_report()? {
            numbers.append(&mut more);
        }
        Ok(numbers)
    }
}

/// Past the test harness, which may hold the line open or keep what is printed.
fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "\n{line}")?;
    output.flush()
}

const TOKEN: Scope = Scope::new("race-token");
const PLACE: &str = "PORTCULLIS_RACE_PLACE";
const NUMBER: &str = "PORTCULLIS_RACE_NUMBER";
const READY: &str = "portcullis-race-ready";
const REPORT: &str = "portcullis-race-report";
const ATTEMPTS: u32 = 1_000;
