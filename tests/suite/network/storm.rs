//! Seeded trouble: what breaks, when, and for how long.

use std::{collections::BTreeMap, time::Duration};

use super::hosts::{Crash, EXCHANGE_HOST, Network};

/// A die that falls the same way for the same seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    /// A length of time from `least` to `most`.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let spread = (most - least).as_millis() as u64;
        least + Duration::from_millis(self.roll(spread + 1))
    }
}

/// What is wrong with one agency or its link for a while.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Nothing gets through, either way.
    Cut,
    /// Nothing reaches the exchange; what it says still arrives.
    CutTowards,
    /// Nothing comes from the exchange; what it is told still arrives.
    CutFrom,
    /// All is kept on the way, and arrives at once when this is over.
    Held,
    /// Each message takes up to some seconds, and overtakes others.
    Slow,
    /// The agency's computer is off.
    Off,
}

/// A storm over a network.
pub struct Storm {
    pub crashes: u64,
    pub troubles: u64,
    /// Who is in trouble, and until when.
    troubled: BTreeMap<String, (Trouble, Duration)>,
    /// The exchange is down until then; whether nobody was told.
    down: Option<(Duration, bool)>,
    weather: Weather,
}

/// How bad it is.
#[derive(Clone, Copy)]
pub struct Weather {
    /// From one trouble to the next, on average.
    pub mean: Duration,
    /// The longest that one lasts.
    pub longest: Duration,
    /// The longest that a message is on its way when all is well.
    pub calm_latency: Duration,
    /// The longest on a slow link.
    pub slow_latency: Duration,
}

impl Storm {
    pub fn of(weather: Weather) -> Self {
        Self { crashes: 0, troubles: 0, troubled: BTreeMap::new(), down: None, weather }
    }

    /// Lets the storm rage, then mends everything.
    pub fn rage(&mut self, network: &mut Network, length: Duration) {
        let end = network.time.elapsed() + length;
        while network.time.elapsed() < end {
            let pause = network.dice.between(Duration::ZERO, self.weather.mean * 2);
            let next = network.time.elapsed() + pause;
            while network.time.elapsed() < next {
                self.mend(network, false);
                network.step();
            }
            self.strike(network);
        }
        self.mend(network, true);
    }

    fn strike(&mut self, network: &mut Network) {
        let now = network.time.elapsed();
        let names: Vec<String> = network.agencies.keys().cloned().collect();
        let which = network.dice.roll(names.len() as u64 + 1) as usize;
        let Some(name) = names.get(which) else { return self.strike_exchange(network) };
        // A link out of order is left to be so: what broke it must mend it.
        if self.troubled.contains_key(name) || self.down.is_some() {
            return;
        }
        let length = network.dice.between(Duration::ZERO, self.weather.longest);
        let trouble = match network.dice.roll(6) {
            0 => Trouble::Cut,
            1 => Trouble::CutTowards,
            2 => Trouble::CutFrom,
            3 => Trouble::Held,
            4 => Trouble::Slow,
            _ => Trouble::Off,
        };
        let sim = network.links();
        let (one, other) = (name.as_str(), EXCHANGE_HOST);
        match trouble {
            Trouble::Cut => sim.partition(one, other),
            Trouble::CutTowards => sim.partition_oneway(one, other),
            Trouble::CutFrom => sim.partition_oneway(other, one),
            Trouble::Held => sim.hold(one, other),
            Trouble::Slow => {
                sim.set_link_max_message_latency(one, other, self.weather.slow_latency);
            }
            Trouble::Off => sim.crash(one),
        }
        self.troubles += 1;
        self.troubled.insert(name.clone(), (trouble, now + length));
    }

    /// The exchange stops in order or loses its power; then, perhaps, with every link cut first, so
    /// that nobody is told.
    fn strike_exchange(&mut self, network: &mut Network) {
        if self.down.is_some() || network.broker().is_none() {
            return;
        }
        let unheard = network.dice.roll(2) == 0 && self.troubled.is_empty();
        match network.dice.roll(3) {
            0 => network.stop(),
            kind => {
                if unheard {
                    let names: Vec<String> = network.agencies.keys().cloned().collect();
                    names.iter().for_each(|name| {
                        network.links().partition(name.as_str(), EXCHANGE_HOST);
                    });
                }
                network.crash(if kind == 1 { Crash::BeforeCommit } else { Crash::AfterCommit });
            }
        }
        let length = network.dice.between(Duration::ZERO, self.weather.longest / 4);
        self.crashes += 1;
        self.down = Some((network.time.elapsed() + length, unheard));
    }

    /// Mends what has been broken for long enough, or everything.
    fn mend(&mut self, network: &mut Network, all: bool) {
        let now = network.time.elapsed();
        if let Some((until, unheard)) = self.down
            && (all || until <= now)
        {
            self.down = None;
            network.restart();
            if unheard {
                let names: Vec<String> = network.agencies.keys().cloned().collect();
                names.iter().for_each(|name| network.links().repair(name.as_str(), EXCHANGE_HOST));
            }
        }
        let over = |(_, until): &(Trouble, Duration)| all || *until <= now;
        let mended: Vec<_> = self
            .troubled
            .iter()
            .filter(|(_, trouble)| over(trouble))
            .map(|(n, _)| n.clone())
            .collect();
        for name in mended {
            let Some((trouble, _)) = self.troubled.remove(&name) else { continue };
            let sim = network.links();
            let (one, other) = (name.as_str(), EXCHANGE_HOST);
            match trouble {
                Trouble::Cut => sim.repair(one, other),
                Trouble::CutTowards => sim.repair_oneway(one, other),
                Trouble::CutFrom => sim.repair_oneway(other, one),
                Trouble::Held => sim.release(one, other),
                Trouble::Slow => {
                    sim.set_link_max_message_latency(one, other, self.weather.calm_latency);
                }
                Trouble::Off => sim.bounce(one),
            }
        }
    }
}
