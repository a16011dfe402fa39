//! The queue of jobs that wait for a worker. Each place in it has an owner.
//!
//! A request for a hash costs an attacker nothing, so an attacker could fill a queue that only counts its places. Here
//! places are counted by requester ([`Requester`]), in groups from large to small: a provider, one of its regions or large customers,
//! one client, and one login or account of that client.
//!
//! * **Turns.** Groups take turns: first providers, then the groups inside of each. A client that comes to a queue that an
//!   attacker filled waits for one job of each other provider, not for all jobs of the attacker.
//! * **Places.** A newcomer to a full queue takes the place of a job whose group holds more places than its own. Groups are
//!   compared from large to small, and a group that both jobs are in is not compared. The job that loses its place is refused
//!   at once. If no group holds more, the newcomer is refused.
//! * **Accounts.** Of one account or login, only [`FEW`] places are safe from newcomers for others, in however many networks.
//! * **Account owners** keep their places, and take those of strangers, until owners hold half of the queue. From then on they
//!   are compared as strangers are: an attacker can own accounts, too.
//! * **An operator's command** goes before all other jobs.
//!
//! While there is room, no client is refused, so that many people behind one router can sign in at the same time.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::IpAddr;

use argon2::Block;
use ipnet::IpNet;

use crate::network;

/// Places of one account or login that no newcomer for another one takes because of the account. A person who signs in on
/// several devices at once needs a few.
const FEW: usize = 3;

/// The lengths of the prefixes of networks that are groups, for IPv4 and IPv6: a provider, one of its regions or large
/// customers, one client.
const PREFIXES: [(u8, u8); 3] = [(16, 32), (24, 48), (32, 64)];

/// The groups of a job, from large to small: its networks, and the login or account of its client.
const LEVELS: usize = PREFIXES.len() + 1;

/// A network, and a digest of the login or account if it is one of a client's.
type Group = (IpNet, Option<u64>);

/// Who asks for a hash.
#[derive(Clone, Copy, Debug)]
pub struct Requester(Option<Remote>);

#[derive(Clone, Copy, Debug)]
struct Remote {
    groups: [Group; LEVELS],
    /// A digest of the login or account.
    subject: u64,
    is_owner: bool,
}

impl Requester {
    /// An operator, by a command or by a link that a command made.
    pub const OPERATOR: Requester = Requester(None);

    /// A client at `ip` that is not known to be an account owner. `subject` is the login that was typed, or what else the
    /// password is for.
    pub fn client(ip: IpAddr, subject: impl Hash) -> Requester {
        Requester::remote(ip, subject, false)
    }

    /// The owner of `account`, at `ip`: the client has a session or a token of the account, or signs in from a network from
    /// which the account owner signed in before. Each such network has a count of its own, so that an attacker who has the
    /// password elsewhere does not use it up.
    pub fn owner(ip: IpAddr, account: impl Hash) -> Requester {
        Requester::remote(ip, (account, network::client(ip)), true)
    }

    fn remote(ip: IpAddr, subject: impl Hash, is_owner: bool) -> Requester {
        let mut hasher = DefaultHasher::new();
        (is_owner, subject).hash(&mut hasher);
        let subject = hasher.finish();
        let [provider, region, client] = PREFIXES.map(|(v4, v6)| network::of(ip, v4, v6));
        Requester(Some(Remote {
            groups: [
                (provider, None),
                (region, None),
                (client, None),
                (client, Some(subject)),
            ],
            subject,
            is_owner,
        }))
    }
}

/// Too many password hashes were requested at once, and nothing was computed. The client should try
/// again in a few seconds (503 with `Retry-After`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many sign-ins at once; try again in a few seconds")
    }
}

impl std::error::Error for Overloaded {}

/// What a worker does with its memory.
pub(super) type Work = Box<dyn FnOnce(&mut [Block]) + Send>;

/// One computation that waits.
pub(super) struct Job {
    pub ticket: u64,
    pub requester: Requester,
    pub blocks: usize,
    pub work: Work,
}

/// The jobs that wait.
pub(super) struct Queue {
    /// In the order in which they came.
    jobs: VecDeque<Job>,
    places: usize,
    /// The groups that have jobs.
    groups: HashMap<Group, Share>,
    turns: u64,
}

/// What a group has of the queue.
struct Share {
    places: usize,
    /// The number of its latest turn, or of its arrival. The lowest is next.
    turn: u64,
}

impl Queue {
    pub fn new(places: usize) -> Queue {
        Queue {
            jobs: VecDeque::new(),
            places,
            groups: HashMap::new(),
            turns: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// The job that is next. It stays the next one until it is taken, but for a command of an operator.
    pub fn first(&self) -> Option<&Job> {
        self.jobs.get(self.next()?)
    }

    /// Takes the job that is next, which is the turn of its groups.
    pub fn pop(&mut self) -> Option<Job> {
        let job = self.take(self.next()?)?;
        self.turns += 1;
        for group in job.requester.0.iter().flat_map(|remote| remote.groups) {
            if let Some(share) = self.groups.get_mut(&group) {
                share.turn = self.turns;
            }
        }
        Some(job)
    }

    /// Takes out the job with this ticket.
    pub fn remove(&mut self, ticket: u64) -> Option<Job> {
        let at = self.jobs.iter().position(|job| job.ticket == ticket)?;
        self.take(at)
    }

    /// Adds a job. Returns the one that had to give its place to it; dropping that refuses it.
    ///
    /// # Errors
    /// [`Overloaded`] if there is no place for it.
    pub fn push(&mut self, job: Job) -> Result<Option<Job>, Overloaded> {
        let displaced = match self.jobs.len() < self.places {
            true => None,
            false => {
                let at = self.displaced_by(&job.requester).ok_or(Overloaded)?;
                self.take(at)
            }
        };
        self.turns += 1;
        for group in job.requester.0.iter().flat_map(|remote| remote.groups) {
            let turn = self.turns;
            let share = self.groups.entry(group);
            share.or_insert(Share { places: 0, turn }).places += 1;
        }
        self.jobs.push_back(job);
        Ok(displaced)
    }

    fn take(&mut self, at: usize) -> Option<Job> {
        let job = self.jobs.remove(at)?;
        for group in job.requester.0.iter().flat_map(|remote| remote.groups) {
            if let Some(share) = self.groups.get_mut(&group) {
                share.places -= 1;
                if share.places == 0 {
                    self.groups.remove(&group);
                }
            }
        }
        Some(job)
    }

    /// Where the job is whose turn it is.
    fn next(&self) -> Option<usize> {
        let turn = |group| self.groups.get(&group).map_or(0, |share| share.turn);
        let jobs = self.jobs.iter().enumerate();
        // An operator's has no groups, which sorts first. Of equal ones the first is taken, which came first.
        jobs.min_by_key(|(_, job)| job.requester.0.map(|remote| remote.groups.map(turn)))
            .map(|(at, _)| at)
    }

    /// How many places a group holds.
    fn held(&self, group: Group) -> usize {
        self.groups.get(&group).map_or(0, |share| share.places)
    }

    fn count(&self, is_counted: impl Fn(&Remote) -> bool) -> usize {
        let remotes = self.jobs.iter().filter_map(|job| job.requester.0.as_ref());
        remotes.filter(|remote| is_counted(remote)).count()
    }

    /// The places of an account or login, if they are more than a few.
    fn more_than_few(&self, subject: u64) -> usize {
        let places = self.count(|other| other.subject == subject);
        if places > FEW { places } else { 0 }
    }

    /// Which job of a full queue has to give its place to the newcomer: the latest of the group that holds most.
    fn displaced_by(&self, newcomer: &Requester) -> Option<usize> {
        let prefers_owners = self.count(|remote| remote.is_owner) < self.places / 2;
        let rank = |remote: &Remote| {
            let is_preferred = prefers_owners && remote.is_owner;
            let held = remote.groups.map(|group| self.held(group));
            (!is_preferred, self.more_than_few(remote.subject), held)
        };
        let jobs = self.jobs.iter().enumerate();
        let (at, holder) = jobs
            .filter_map(|(at, job)| Some((at, job.requester.0.as_ref()?)))
            .max_by_key(|(at, remote)| (rank(remote), *at))?;
        let gives_way = match &newcomer.0 {
            None => true,
            Some(newcomer) if prefers_owners && holder.is_owner != newcomer.is_owner => {
                newcomer.is_owner
            }
            Some(newcomer) => self.has_more(holder, newcomer),
        };
        gives_way.then_some(at)
    }

    /// Whether a job that waits has more of the queue than a newcomer would have.
    fn has_more(&self, holder: &Remote, newcomer: &Remote) -> bool {
        let of_newcomer = self.count(|other| other.subject == newcomer.subject);
        if self.more_than_few(holder.subject) > of_newcomer + 1 {
            return true;
        }
        // A group that both are in does not show which of them has more than its share.
        let decisive = std::iter::zip(holder.groups, newcomer.groups)
            .filter(|(theirs, ours)| theirs != ours)
            .map(|(theirs, ours)| self.held(theirs).cmp(&(self.held(ours) + 1)))
            .find(|order| order.is_ne());
        decisive == Some(Ordering::Greater)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const PLACES: usize = 64;

    struct Line {
        queue: Queue,
        last_ticket: u64,
    }

    impl Line {
        fn new() -> Line {
            Line {
                queue: Queue::new(PLACES),
                last_ticket: 0,
            }
        }

        /// A queue that is full of requests that `requester` makes, each with a number.
        fn full_of(requester: impl Fn(usize) -> Requester) -> Line {
            let mut line = Line::new();
            for number in 0..PLACES {
                assert_eq!(line.join(requester(number)), Ok(None));
            }
            line
        }

        /// The ticket of the job that had to give its place, if one had to.
        fn join(&mut self, requester: Requester) -> Result<Option<u64>, Overloaded> {
            self.last_ticket += 1;
            let displaced = self.queue.push(Job {
                ticket: self.last_ticket,
                requester,
                blocks: 1,
                work: Box::new(|_| ()),
            });
            displaced.map(|job| job.map(|job| job.ticket))
        }

        /// Asserts that the newcomer takes the place of another job.
        #[track_caller]
        fn takes_a_place(&mut self, requester: Requester) {
            let displaced = self.join(requester).expect("a place");
            assert!(displaced.is_some());
            assert_eq!(self.queue.len(), PLACES);
        }

        #[track_caller]
        fn is_refused(&mut self, requester: Requester) {
            assert_eq!(self.join(requester), Err(Overloaded));
            assert_eq!(self.queue.len(), PLACES);
        }

        /// The tickets of the next jobs, in their order.
        fn serve(&mut self, count: usize) -> Vec<u64> {
            let mut next = || {
                let first = self.queue.first().map(|job| job.ticket);
                let taken = self.queue.pop().map(|job| job.ticket);
                assert_eq!(first, taken);
                taken
            };
            (0..count).filter_map(|_| next()).collect()
        }
    }

    fn client(ip: &str, login: &str) -> Requester {
        Requester::client(ip.parse().expect("an address"), login)
    }

    fn owner(ip: &str, account: i64) -> Requester {
        Requester::owner(ip.parse().expect("an address"), account)
    }

    #[test] // finding 10: one own account, right password, one address
    fn one_client_does_not_keep_others_out_or_waiting() {
        let mut line = Line::full_of(|_| client("203.0.113.1", "mallory"));
        line.takes_a_place(client("192.0.2.1", "ann"));
        let ann = line.last_ticket;
        line.takes_a_place(client("198.51.100.1", "bob"));
        let bob = line.last_ticket;
        // Each of them waits for one job of the attacker.
        assert_eq!(line.serve(5), [1, ann, bob, 2, 3]);
    }

    #[test]
    fn many_people_behind_one_router_are_all_served() {
        let mut line = Line::full_of(|number| client("192.0.2.1", &number.to_string()));
        let all: Vec<u64> = (1..=line.last_ticket).collect();
        assert_eq!(line.serve(PLACES + 1), all);
        assert!(line.queue.groups.is_empty(), "nothing is left of them");
    }

    #[test] // finding 10: a flood from behind the same router, for one account
    fn the_logins_of_one_client_take_turns() {
        let mut line = Line::full_of(|_| client("192.0.2.1", "mallory"));
        line.takes_a_place(client("192.0.2.1", "ann"));
        let ann = line.last_ticket;
        assert_eq!(line.serve(3), [1, ann, 2]);
    }

    #[test] // finding 10: unknown logins, an address each
    fn a_newcomer_takes_a_place_of_the_network_that_holds_most() {
        let flood = |number: usize| client(&format!("2001:db8:{number:x}::1"), &number.to_string());
        let mut line = Line::full_of(flood);
        let last = line.last_ticket;
        assert_eq!(line.join(client("192.0.2.1", "ann")), Ok(Some(last)));
        let ann = line.last_ticket;
        assert_eq!(line.join(client("2001:db9::1", "bob")), Ok(Some(last - 1)));
        let bob = line.last_ticket;
        // The flood goes on, and takes nothing back.
        line.is_refused(flood(0xffff));
        assert_eq!(line.serve(4), [1, ann, bob, 2]);
    }

    #[test]
    fn within_a_large_network_the_smaller_ones_are_compared() {
        let flood =
            |number: usize| client(&format!("2001:db8:7:{number:x}::1"), &number.to_string());
        let mut line = Line::full_of(flood);
        line.takes_a_place(client("2001:db8:8::1", "ann"));
        let ann = line.last_ticket;
        assert_eq!(line.serve(3), [1, ann, 2]);
    }

    #[test] // finding 10: one own account, from as many networks as there are places
    fn one_account_does_not_keep_others_out_from_many_networks() {
        let anywhere = |number: usize| format!("{}.0.0.1", number + 1);
        let mut line = Line::full_of(|number| client(&anywhere(number), "mallory"));
        for number in 0..PLACES - FEW {
            line.takes_a_place(client("192.0.2.1", &number.to_string()));
        }
        line.is_refused(client("192.0.2.1", "one more"));
    }

    #[test] // finding 10: another login from each of as many networks as there are places
    fn an_account_owner_goes_before_all_strangers() {
        let anywhere = |number: usize| format!("{}.0.0.1", number + 1);
        let mut line = Line::full_of(|number| client(&anywhere(number), &number.to_string()));
        line.is_refused(client("192.0.2.1", "x"));
        line.takes_a_place(owner("192.0.2.1", 7));
        line.is_refused(client("198.51.100.1", "x"));
        line.takes_a_place(Requester::OPERATOR);
        let operator = line.last_ticket;
        assert_eq!(line.serve(2), [operator, 1]);
    }

    #[test] // finding 10: strangers behind the same router as the account owner
    fn an_account_owner_takes_the_place_of_a_stranger_at_the_same_address() {
        let mut line = Line::full_of(|number| client("192.0.2.1", &number.to_string()));
        line.is_refused(client("192.0.2.1", "x"));
        line.takes_a_place(owner("192.0.2.1", 7));
    }

    #[test] // finding 10: accounts of the attacker's own, each used from many networks of one provider
    fn an_attacker_who_owns_accounts_holds_half_of_the_queue() {
        let own = |number: usize| owner(&format!("2001:db8:{number:x}::1"), 7);
        let mut line = Line::full_of(own);
        for number in 0..PLACES / 2 {
            line.takes_a_place(client(
                &format!("{}.0.0.1", number + 1),
                &number.to_string(),
            ));
        }
        // An owner from elsewhere still gets in, and the attacker gets no place back.
        line.takes_a_place(owner("192.0.2.1", 8));
        line.is_refused(own(0xffff));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn every_job_is_served_or_refused_once(jobs in vec((0..4u8, 0..3u8, 0..4u8, any::<bool>(), any::<bool>()), 1..300)) {
            let mut line = Line::new();
            let (mut ended, mut joined) = (Vec::new(), Vec::new());
            for (network, host, login, is_owner, serves) in jobs {
                let ip = format!("10.{network}.{host}.1");
                let who = match is_owner {
                    true => owner(&ip, i64::from(login)),
                    false => client(&ip, &login.to_string()),
                };
                match line.join(who) {
                    Ok(displaced) => {
                        joined.push(line.last_ticket);
                        ended.extend(displaced);
                    }
                    Err(Overloaded) => assert_eq!(line.queue.len(), PLACES),
                }
                if serves {
                    ended.extend(line.serve(1));
                }
            }
            ended.extend(line.serve(PLACES));
            ended.sort_unstable();
            assert_eq!(ended, joined);
            assert!(line.queue.groups.is_empty());
        }
    }
}
