/**
 * What every Network must do, real or simulated. A suite gives a maker of networks that are connected with each other, and a way to let their
 * world go on; the contract says the rest. Never assumes that gossip is reliable: it publishes until somebody has heard.
 */

import type { Test } from 'tap';
import type { MessageVerdict, Network } from '../../src/ports.ts';

export interface NetworkFixture {
  /** Started, and each connected with every other. */
  readonly networks: readonly Network[];
  /** Resolves once the condition holds; a virtual world moves on meanwhile. */
  readonly until: (condition: () => boolean) => Promise<void>;
  /** Settles like `work`; a virtual world moves on meanwhile. */
  readonly drive: <T>(work: Promise<T>) => Promise<T>;
  readonly close: () => Promise<void>;
}

/** `prepare` is called for each network before it starts. */
export type MakeNetworks = (count: number, prepare: (network: Network, index: number) => void) => Promise<NetworkFixture>;

const PROTOCOL = '/cairn/contract/echo/1';
const TOPIC = '/cairn/contract/topic/1';
const LIMITS = { maxRequestBytes: 4 * 1024 * 1024, maxConcurrent: 4 } as const;
const OPTIONS = { timeoutMs: 20_000, maxResponseBytes: 4 * 1024 * 1024 } as const;

export function networkContract(t: Test, make: MakeNetworks): void {
  t.test('peers: each sees the others, by the ids of their keys', (t) => peersAreSeen(t, make));
  t.test('gossip: a message reaches every other subscriber, never its sender', (t) => gossipReachesAll(t, make));
  t.test('gossip: the same bytes on two topics are two messages', (t) => topicsAreApart(t, make));
  t.test('gossip: ignore keeps the sender, reject costs it the connection', (t) => rejectCosts(t, make));
  t.test('requests: bodies of many sizes come back whole, with the asker named', (t) => bodiesComeBack(t, make));
  t.test('requests: limits, time, signals and failures reject', (t) => failuresReject(t, make));
  t.test('requests: no more run at once than allowed, and all are answered', (t) => concurrencyIsBounded(t, make));
  t.test('penalize: the peer is gone, and both sides are told', (t) => penaltyParts(t, make));
  t.test('providers: who provides is found by others, not by itself', (t) => providersAreFound(t, make));
}

/** Runs `work` over a fresh fixture, and closes it whatever happens. */
async function withNetworks(
  make: MakeNetworks,
  given: { readonly count: number; readonly prepare?: (network: Network, index: number) => void },
  work: (fixture: NetworkFixture, networks: readonly [Network, Network, Network]) => Promise<void>,
): Promise<void> {
  const fixture = await make(given.count, given.prepare ?? (() => {}));
  try {
    const [first, second] = fixture.networks;
    if (first === undefined || second === undefined) throw new Error('expected a fixture of at least two networks');
    await work(fixture, [first, second, fixture.networks[2] ?? second]);
  } finally {
    await fixture.close();
  }
}

async function peersAreSeen(t: Test, make: MakeNetworks): Promise<void> {
  await withNetworks(make, { count: 3 }, async (fixture, [first, second]) => {
    for (const network of fixture.networks) {
      const others = fixture.networks.filter((other) => other !== network).map((other) => other.peerId);
      t.same(
        network
          .peers()
          .map((peer) => peer.peerId)
          .sort(),
        others.sort(),
      );
      t.ok(network.peers().every((peer) => peer.addresses.length > 0));
      t.ok(network.addresses().every((address) => address.includes(network.peerId)));
    }
    t.ok((await fixture.drive(first.ping(second.peerId))) >= 0);
    t.throws(() => first.peerIdOf(new Uint8Array(31)), RangeError);
  });
}

async function topicsAreApart(t: Test, make: MakeNetworks): Promise<void> {
  const topics = [TOPIC, `${TOPIC}/other`];
  const heard = topics.map(() => new Set<string>());
  const prepare = (network: Network, index: number): void => {
    for (const [place, topic] of topics.entries()) {
      network.subscribe(topic, (_from, message) => {
        if (index === 1) heard[place]?.add(Buffer.from(message).toString());
        return 'ignore';
      });
    }
  };
  await withNetworks(make, { count: 2, prepare }, async (fixture, [first]) => {
    // The first words may be lost: subscriptions travel, too.
    let said = 0;
    const isHeardTwice = (): boolean => [...(heard[0] ?? [])].some((text) => heard[1]?.has(text));
    while (!isHeardTwice() && said < 50) {
      said += 1;
      for (const topic of topics) await fixture.drive(first.publish(topic, Buffer.from(`word ${said}`)));
      let turns = 0;
      await fixture.until(() => {
        turns += 1;
        return isHeardTwice() || turns > 20;
      });
    }
    t.ok(isHeardTwice(), `after ${said} words`);
  });
}

async function gossipReachesAll(t: Test, make: MakeNetworks): Promise<void> {
  const heard: { readonly at: number; readonly text: string }[] = [];
  const prepare = (network: Network, index: number): void => {
    network.subscribe(TOPIC, (_from, message) => {
      heard.push({ at: index, text: Buffer.from(message).toString() });
      return 'accept';
    });
  };
  await withNetworks(make, { count: 3, prepare }, async (fixture, [first]) => {
    const everyOther = (): boolean => [1, 2].every((index) => heard.some((entry) => entry.at === index));
    await publishUntil(fixture, first, everyOther);
    t.notOk(heard.some((entry) => entry.at === 0));
    t.equal(new Set(heard.map((entry) => `${entry.at}${entry.text}`)).size, heard.length, 'each message once');
    await t.rejects(fixture.drive(first.publish(TOPIC, new Uint8Array(2 * 1024 * 1024))), { code: 'too-large' });
  });
}

async function rejectCosts(t: Test, make: MakeNetworks): Promise<void> {
  let verdict: MessageVerdict = 'ignore';
  let judged = 0;
  const prepare = (network: Network, index: number): void => {
    network.subscribe(TOPIC, () => {
      if (index === 0) judged += 1;
      return index === 0 ? verdict : 'accept';
    });
  };
  await withNetworks(make, { count: 2, prepare }, async (fixture, [judge, sender]) => {
    await publishUntil(fixture, sender, () => judged > 0);
    t.equal(judge.peers().length, 1, 'ignored: still here');
    verdict = 'reject';
    await publishUntil(fixture, sender, () => judge.peers().length === 0);
    t.equal(judge.peers().length, 0, 'rejected: gone');
  });
}

let published = 0;

async function publishUntil(fixture: NetworkFixture, from: Network, condition: () => boolean): Promise<void> {
  while (!condition()) {
    published += 1;
    await fixture.drive(from.publish(TOPIC, Buffer.from(`message ${published}`)));
    let turns = 0;
    await fixture.until(() => {
      turns += 1;
      return condition() || turns > 20;
    });
  }
}

async function bodiesComeBack(t: Test, make: MakeNetworks): Promise<void> {
  const prepare = (network: Network): void => {
    network.handle(PROTOCOL, LIMITS, async (peerId, body) => Buffer.concat([Buffer.from(peerId), body]));
  };
  await withNetworks(make, { count: 2, prepare }, async (fixture, [first, second]) => {
    for (const length of [0, 1, 255, 65_536, 262_145, 3 * 1024 * 1024]) {
      const body = new Uint8Array(length).map((_, index) => index % 251);
      const answer = await fixture.drive(first.request(second.peerId, PROTOCOL, body, OPTIONS));
      t.equal(Buffer.compare(answer, Buffer.concat([Buffer.from(first.peerId), body])), 0, `${length} bytes`);
    }
  });
}

async function failuresReject(t: Test, make: MakeNetworks): Promise<void> {
  const prepare = (network: Network): void => {
    network.handle(PROTOCOL, { ...LIMITS, maxRequestBytes: 1000 }, async (_peerId, body) => new Uint8Array(body.length * 10));
    network.handle(`${PROTOCOL}/fails`, LIMITS, () => Promise.reject(new Error('refused by the handler')));
    network.handle(`${PROTOCOL}/sleeps`, LIMITS, () => new Promise(() => {}));
  };
  await withNetworks(make, { count: 2, prepare }, async (fixture, [first, second]) => {
    const ask = (protocol: string, bytes: number, options: object = {}): Promise<Uint8Array> =>
      fixture.drive(first.request(second.peerId, protocol, new Uint8Array(bytes), { ...OPTIONS, ...options }));
    await t.rejects(ask(PROTOCOL, 500, { maxResponseBytes: 4999 }), { code: 'too-large' }, 'answer too large');
    t.equal((await ask(PROTOCOL, 500, { maxResponseBytes: 5000 })).length, 5000, 'an answer just small enough');
    await t.rejects(ask(`${PROTOCOL}/fails`, 1), 'handler refuses');
    await t.rejects(ask(`${PROTOCOL}/absent`, 1), { code: 'unreachable' }, 'protocol unknown');
    await t.rejects(ask(`${PROTOCOL}/sleeps`, 1, { timeoutMs: 50 }), { code: 'timeout' }, 'no answer in time');
    const controller = new AbortController();
    const asked = ask(`${PROTOCOL}/sleeps`, 1, { signal: controller.signal });
    controller.abort();
    await t.rejects(asked, { code: 'aborted' }, 'caller gives up');
    await t.rejects(ask(PROTOCOL, 1001), 'request too large');
  });
}

async function concurrencyIsBounded(t: Test, make: MakeNetworks): Promise<void> {
  let running = 0;
  let most = 0;
  const releases: (() => void)[] = [];
  const prepare = (network: Network): void => {
    network.handle(PROTOCOL, LIMITS, async (_peerId, body) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => releases.push(resolve));
      running -= 1;
      return body;
    });
  };
  await withNetworks(make, { count: 3, prepare }, async (fixture, [first, second, third]) => {
    const ask = (from: Network): Promise<Uint8Array> => from.request(third.peerId, PROTOCOL, new Uint8Array(100), OPTIONS);
    const answers = Promise.all(Array.from({ length: 24 }, (_, index) => ask(index % 2 === 0 ? first : second)));
    await fixture.until(() => releases.length > 1);
    let answered = 0;
    while (answered < 24) {
      await fixture.until(() => releases.length > 0);
      releases.shift()?.();
      answered += 1;
    }
    t.equal((await fixture.drive(answers)).length, 24);
    t.ok(most <= LIMITS.maxConcurrent, `${most} at once`);
    t.ok(most > 1, 'some at once');
  });
}

async function penaltyParts(t: Test, make: MakeNetworks): Promise<void> {
  const gone: string[] = [];
  const prepare = (network: Network): void => {
    network.onPeerChange((peerId, connected) => {
      if (!connected) gone.push(`${network.peerId} lost ${peerId}`);
    });
  };
  await withNetworks(make, { count: 2, prepare }, async (fixture, [first, second]) => {
    first.penalize(second.peerId, 'bad-bytes', 'contract');
    await fixture.until(() => gone.length >= 2);
    t.ok(gone.includes(`${first.peerId} lost ${second.peerId}`));
    t.ok(gone.includes(`${second.peerId} lost ${first.peerId}`));
    t.same(first.peers(), []);
    await t.rejects(fixture.drive(first.request(second.peerId, PROTOCOL, new Uint8Array(1), OPTIONS)), { code: 'unreachable' });
  });
}

async function providersAreFound(t: Test, make: MakeNetworks): Promise<void> {
  await withNetworks(make, { count: 3 }, async (fixture, [first, second, third]) => {
    const sha256 = new Uint8Array(32).fill(7);
    await fixture.drive(first.provide(sha256));
    await fixture.drive(second.provide(sha256));
    const found = await fixture.drive(third.findProviders(sha256, { limit: 10 }));
    t.same([...found].sort(), [first.peerId, second.peerId].sort());
    t.equal((await fixture.drive(third.findProviders(sha256, { limit: 1 }))).length, 1, 'the limit holds');
    t.notOk((await fixture.drive(first.findProviders(sha256, { limit: 10 }))).includes(first.peerId), 'not oneself');
    t.same(await fixture.drive(third.findProviders(new Uint8Array(32).fill(8), { limit: 10 })), [], 'nobody has it');
  });
}
