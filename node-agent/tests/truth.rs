//! What the agent tells of CPU, memory and network against counters of the kernel that are read here by another way, within
//! 1 %, and how soon it sees a step load.
//!
//! The counters are read before and after the agent reads its own, and the truth lies between: a machine that is busy makes
//! the bounds wider and no test fail. What a machine does not permit is skipped, and said on standard error.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]
#![allow(
    clippy::disallowed_methods,
    reason = "the kernel counts in its own time, and there is no runtime here"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use foreshift_node_agent::{
    persona::{Costing, HALF_LIFE, Identity, Persona, Surroundings},
    sample::Sample,
    sources::{Roots, Sources},
};

const CGROUPS: &str = "/sys/fs/cgroup";

/// Cores that the load may take.
const QUOTA: f64 = 0.5;

/// Bytes of one packet on the link: what is sent, and the heads of UDP, IPv4 and Ethernet.
const PACKET: f64 = 1000.0 + 8.0 + 20.0 + 14.0;

#[test]
fn the_machines_cpu_and_memory_are_what_its_counters_say() {
    let mut agent = Agent::open(Path::new("/proc"), None);
    if agent.sources.description() != "/proc" {
        return skipped("the truth of the machine", "this machine is a container");
    }
    let (before, _, after) = agent.between(ticks);
    sleep(Duration::from_secs(2));
    let memory_before = used_memory();
    let (before_end, sample, after_end) = agent.between(ticks);
    let memory_after = used_memory();
    let cores = agent.sample.cpu.capacity;
    let part = |from: (f64, f64), to: (f64, f64), all: f64| cores * (to.0 - from.0) / all;
    let least = part(after, before_end, after_end.1 - before.1);
    let most = part(before, after_end, before_end.1 - after.1);
    within("CPU of the machine", sample.cpu.used, least..=most);
    // Others take and give memory back in between.
    let (least, most) = (memory_before.min(memory_after), memory_before.max(memory_after));
    within("memory of the machine", sample.memory.used, least..=most);
}

#[test]
fn bytes_that_a_link_carried_are_all_counted() {
    let Some(mut link) = Link::up() else { return };
    let proc = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(format!("/proc/{}", link.process.id()), proc.path().join("1")).unwrap();
    let mut agent = Agent::open(proc.path(), None);
    agent.look();
    let packets = 2000;
    link.send(packets);
    let sample = agent.look();
    let sent = sample.network.used * sample.elapsed.as_secs_f64();
    let expected = PACKET * f64::from(packets);
    within("bytes of the link", sent, expected..=expected);
}

#[test]
fn a_step_load_is_seen_within_three_seconds_and_told_as_it_is() {
    let Some(cgroup) = Cgroup::make() else { return };
    let mut agent = Agent::open(Path::new("/proc"), Some(&cgroup.name));
    let mut persona = Persona::new(Identity::default(), Costing::default(), HALF_LIFE, None, 0.0);
    agent.look();
    let mut shown = |agent: &mut Agent, seconds: usize| {
        for _ in 0..seconds {
            sleep(Duration::from_secs(1));
            persona.observe(agent.look(), &Surroundings::default());
        }
        persona.report(&Surroundings::default()).unwrap().snapshot
    };
    let idle = shown(&mut agent, 3);
    assert!(idle.load < 0.1 && idle.scores.capacity > 90.0, "{idle:?}");

    let _load = cgroup.load();
    let busy = shown(&mut agent, 3);
    assert!(busy.load > 0.75 && busy.scores.capacity < 25.0, "three seconds after the load began: {busy:?}");

    let (before, _, after) = agent.between(|| cgroup.ran());
    sleep(Duration::from_secs(3));
    let memory_before = cgroup.working_set();
    let (before_end, sample, after_end) = agent.between(|| cgroup.ran());
    let memory_after = cgroup.working_set();
    let used = sample.cpu.used * sample.elapsed.as_secs_f64();
    within("CPU of the cgroup", used, before_end - after..=after_end - before);
    let (least, most) = (memory_before.min(memory_after), memory_before.max(memory_after));
    within("memory of the cgroup", sample.memory.used, least..=most);
}

/// `value` lies in `truth`, or 1 % beside it.
fn within(what: &str, value: f64, truth: RangeInclusive<f64>) {
    let (least, most) = (truth.start() * 0.99, truth.end() * 1.01);
    assert!((least..=most).contains(&value), "{what}: {value} is not within 1 % of {truth:?}");
}

/// Says why a test does not run, past the capture of its output.
fn skipped(what: &str, why: &str) {
    std::io::stderr().write_all(format!("SKIPPED {what}: {why}\n").as_bytes()).unwrap();
}

/// The agent's sources with a clock.
struct Agent {
    sources: Sources,
    began: Instant,
    sample: Sample,
}

impl Agent {
    fn open(proc: &Path, node_cgroup: Option<&str>) -> Self {
        let sources = Sources::open(&Roots {
            proc: proc.to_owned(),
            cgroup: CGROUPS.into(),
            sys: None,
            node_cgroup: node_cgroup.map(Into::into),
            network_capacity: None,
            memory_capacity: None,
        });
        Self { sources: sources.unwrap(), began: Instant::now(), sample: Sample::default() }
    }

    fn look(&mut self) -> Sample {
        let sampled = self.sources.sample(self.began.elapsed() + Duration::from_secs(1), 0.0).unwrap();
        self.sample = sampled.unwrap_or_default();
        self.sample.clone()
    }

    /// A look, and what `counter` says before and after it.
    fn between<T>(&mut self, counter: impl Fn() -> T) -> (T, Sample, T) {
        let before = counter();
        let sample = self.look();
        (before, sample, counter())
    }
}

/// Ticks of all CPUs in which they worked, and all ticks.
fn ticks() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .unwrap()
        .split_ascii_whitespace()
        .skip(1)
        .take(8)
        .map(|it| it.parse().unwrap())
        .collect();
    let [user, nice, system, idle, waiting, irq, softirq, stolen] = fields[..] else { panic!("{fields:?}") };
    let worked = user + nice + system + irq + softirq;
    (worked, worked + idle + waiting + stolen)
}

/// Bytes that programs cannot get any more.
fn used_memory() -> f64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let kibibytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_ascii_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    1024.0 * (kibibytes("MemTotal:") - kibibytes("MemAvailable:"))
}

/// A link in a network namespace of its own, whose default route leads over it.
struct Link {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Link {
    fn up() -> Option<Self> {
        let script = r#"
            ip link add load0 type veth peer name load1 && ip link set load1 up && ip link set load0 up &&
            ip address add 192.0.2.1/24 dev load0 && ip route add default dev load0 &&
            ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev load0 && sleep 0.5 && echo up || exit 1
            printf -v packet %01000d 0
            while read -r count; do
              exec 3> /dev/udp/192.0.2.9/9
              for ((i = 0; i < count; i++)); do printf %s "$packet" >&3; done
              echo sent
            done"#;
        let mut process = Command::new("unshare")
            .args(["--net", "bash", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        if answer.trim() != "up" {
            skipped("the truth of the network", "no network namespace with a veth can be made here (root?)");
            process.wait().unwrap();
            return None;
        }
        Some(Self { process, answers })
    }

    fn send(&mut self, packets: i32) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{packets}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim(), "sent");
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

/// A cgroup of this test's own, with a quota.
struct Cgroup {
    name: String,
    folders: Vec<PathBuf>,
    version_2: bool,
}

impl Cgroup {
    fn make() -> Option<Self> {
        let name = format!("foreshift-truth-{}", std::process::id());
        let version_2 = Path::new(CGROUPS).join("cgroup.controllers").exists();
        let parents: &[&str] = if version_2 { &[""] } else { &["cpu", "cpuacct", "memory"] };
        let folders: Vec<_> = parents.iter().map(|it| Path::new(CGROUPS).join(it).join(&name)).collect();
        let made = Self { name, folders, version_2 };
        let quota = |period: f64| (QUOTA * period).to_string();
        let settings: &[(&str, String)] = &if version_2 {
            [("cpu.max", format!("{} 100000", quota(100_000.0))), ("cpu.weight", "10000".into())]
        } else {
            // Others may keep every core busy: this one comes first.
            [("cpu.cfs_quota_us", quota(100_000.0)), ("cpu.shares", "262144".into())]
        };
        let set = || {
            made.folders.iter().try_for_each(fs::create_dir)?;
            settings.iter().try_for_each(|(file, text)| fs::write(made.folders[0].join(file), text))
        };
        if let Err(error) = set() {
            skipped("the step load", &format!("no cgroup with a quota can be made here: {error}"));
            return None;
        }
        Some(made)
    }

    /// A load that would take a whole core: stress-ng where it is installed, else a loop of the shell.
    fn load(&self) -> Load {
        let script = r#"
            for folder; do echo $$ > "$folder/cgroup.procs"; done
            if command -v stress-ng > /dev/null; then exec stress-ng --quiet --cpu 1 --timeout 60; fi
            while :; do :; done"#;
        Load(Command::new("sh").args(["-c", script, "sh"]).args(&self.folders).spawn().unwrap())
    }

    /// Seconds that its processes ran, as the scheduler counts for each of them.
    fn ran(&self) -> f64 {
        let processes = fs::read_to_string(self.folders[0].join("cgroup.procs")).unwrap();
        let nanoseconds = processes.lines().filter_map(|process| {
            let counted = fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
            counted.split(' ').next()?.parse::<f64>().ok()
        });
        nanoseconds.sum::<f64>() / 1e9
    }

    /// Bytes in use, less the page cache that nobody touched lately.
    fn working_set(&self) -> f64 {
        let folder = self.folders.last().unwrap();
        let (current, inactive) = if self.version_2 {
            ("memory.current", "inactive_file ")
        } else {
            ("memory.usage_in_bytes", "total_inactive_file ")
        };
        let current = fs::read_to_string(folder.join(current)).unwrap().trim().parse::<f64>().unwrap();
        let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap();
        let inactive = statistics.lines().find_map(|line| line.strip_prefix(inactive)).unwrap();
        current - inactive.parse::<f64>().unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The kernel lets go of an ended process a little later.
            for _ in 0..50 {
                if fs::remove_dir(folder).is_ok() || !folder.exists() {
                    break;
                }
                sleep(Duration::from_millis(100));
            }
        }
    }
}

/// A load that ends with the value.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        // stress-ng ends its workers when it is asked to end.
        Command::new("kill").arg(self.0.id().to_string()).status().ok();
        self.0.wait().ok();
    }
}
