//! How often a network may search and list. Reads are many and cheap, so each process counts for itself, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use poem::http::Method;

use crate::http::client_ip::{ClientIp, networks_of};
use crate::http::problem::{Code, Problem};
use crate::http::route_table::BASE;

/// The reads that are counted, with their paths below `/v1`.
const READS: [(&str, &str); 4] = [
    ("list_products", "/products"),
    ("search_products", "/products/search"),
    ("list_categories", "/categories"),
    ("get_category_tree", "/category-tree"),
];

/// One client may read so often at once, and then ten times a second.
const AT_ONCE: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(100);

/// So many networks are remembered before those are forgotten that could read as much as new ones.
const NETWORKS_MAX: usize = 50_000;

/// Whether the operation can answer 429. The spec needs to know.
pub fn limits(operation: &str) -> bool {
    READS.iter().any(|(read, _)| *read == operation)
}

/// The counts of one process. For each network it has the time at which all reads are free again (GCRA, as in
/// `commerce_core::rate_limit`).
#[derive(Clone, Default)]
pub struct ReadLimiter(Arc<Mutex<HashMap<String, Instant>>>);

impl ReadLimiter {
    /// Counts a search or a list, and refuses it if there were too many. Other requests are not counted.
    pub fn admit(&self, method: &Method, path: &str, ClientIp(ip): ClientIp) -> Result<(), Problem> {
        let path = path.strip_prefix(BASE).unwrap_or_default();
        if *method != Method::GET && *method != Method::HEAD || READS.iter().all(|(_, read)| *read != path) {
            return Ok(());
        }
        match networks_of(ip)
            .into_iter()
            .find_map(|(network, clients)| self.wait(network, clients, Instant::now()))
        {
            None => Ok(()),
            Some(wait) => {
                let seconds = wait.as_secs() + 1;
                let detail = format!("Too many searches and lists: try again in {seconds} seconds.");
                let retry_after = Some(Duration::from_secs(seconds));
                Err(Problem { retry_after, ..Problem::new(Code::RateLimited, detail) })
            }
        }
    }

    /// Counts a read of so many clients' network. `None` if it may read now.
    fn wait(&self, network: String, clients: u32, now: Instant) -> Option<Duration> {
        let share = BETWEEN / clients;
        let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if networks.len() >= NETWORKS_MAX {
            networks.retain(|_, free_at| *free_at > now);
            // To let some read too much is better than to search a full list at each request.
            if networks.len() >= NETWORKS_MAX / 2 {
                networks.clear();
            }
        }
        let free_at = networks.get(&network).copied().unwrap_or(now).max(now) + share;
        let ahead = free_at.duration_since(now);
        let allowed = share * AT_ONCE * clients;
        if ahead > allowed {
            return Some(ahead - allowed);
        }
        networks.insert(network, free_at);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_reads_so_often_at_once_and_then_ten_times_a_second() {
        let (limiter, now) = (ReadLimiter::default(), Instant::now());
        let reads = |network: &str, clients, now| {
            let mut count = 0;
            while limiter.wait(network.to_owned(), clients, now).is_none() {
                count += 1;
            }
            count
        };
        assert_eq!(reads("a", 1, now), 200);
        assert_eq!(reads("b", 4, now), 800);
        assert_eq!(reads("a", 1, now + Duration::from_secs(2)), 20);
        assert_eq!(reads("a", 1, now + Duration::from_secs(60)), 200);
    }

    #[test]
    fn only_searches_and_lists_are_counted() {
        let client = ClientIp("192.0.2.1".parse().unwrap());
        let limiter = ReadLimiter::default();
        let refused = |method: Method, path: &str| limiter.admit(&method, path, client).is_err();
        for _ in 0..AT_ONCE {
            assert!(!refused(Method::GET, "/v1/products/search"));
        }
        assert!(refused(Method::GET, "/v1/products/search") && refused(Method::HEAD, "/v1/products"));
        assert!(!refused(Method::POST, "/v1/products") && !refused(Method::GET, "/v1/products/tea"));
    }
}
