/** How long the upstream client waits, and what becomes of those who do not: real HTTP, and a time moved by hand. */

import t from 'tap';
import { identify } from './fixture.ts';
import { open, patient, readStream, until } from './upstream-fixture.ts';

const MANIFEST = Buffer.from('{"schemaVersion":2,"config":{},"layers":[]}');

t.test('headers that do not come are waited for 10 s, and asked for again', async (t) => {
  const { server, upstream } = await open(t, () => {});
  const manifest = t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_FAILED', message: /too slow/ });
  for (const requests of [1, 2, 3]) {
    await until(() => server.seen.length === requests && upstream.time.limits.length > 0);
    t.same(upstream.time.limits, [10_000]);
    upstream.time.expire();
  }
  await manifest;
  t.same(upstream.time.limits, [], 'no timer is left');
});

t.test('a body that falls silent is waited for 30 s', async (t) => {
  const { server, upstream } = await open(t, (response) => {
    response.writeHead(200, { 'content-length': String(MANIFEST.length) });
    response.write(MANIFEST.subarray(0, 5));
  });
  const manifest = t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_FAILED', message: /too slow/ });
  for (const requests of [1, 2, 3]) {
    await until(() => server.seen.length === requests && upstream.time.limits.includes(30_000));
    // The first part may still be on its way: a limit reached before it comes has the same outcome.
    upstream.time.expire();
  }
  await manifest;
});

t.test('a body that drips, each time within the limit of silence, ends too', async (t) => {
  let drip = (): void => {};
  const { upstream } = await open(
    t,
    (response) => {
      response.writeHead(200);
      response.flushHeaders();
      drip = () => void response.write('x');
    },
    { attempts: 1 },
  );
  const stream = upstream.blob('library/alpine', { ...identify(MANIFEST), sizeBytes: 1000 }, patient())[Symbol.asyncIterator]();
  for (const limitMs of [30_000, 30_000]) {
    const next = stream.next();
    await until(() => upstream.time.limits.includes(limitMs));
    upstream.time.advance(29_990);
    drip();
    t.equal((await next).done, false);
  }
  t.equal(upstream.time.pauses.length, 0);
  const resumed = t.rejects(stream.next(), { code: 'UPSTREAM_FAILED' });
  await resumed;
  t.ok((upstream.time.pauses[0] ?? 0) < 30, 'a minute of slack is used up');
});

t.test('who went away is told so, wherever the client was', async (t) => {
  const { server, upstream } = await open(t, (response, request) => {
    if (request.url?.endsWith('busy')) response.writeHead(500).end();
    else if (request.url?.includes('blobs')) response.writeHead(200).write('x');
  });
  const gone = new AbortController();
  gone.abort();
  await t.rejects(upstream.manifest('library/alpine', 'latest', gone.signal), { code: 'ABORTED' }, 'before');
  t.equal(server.seen.length, 0);
  const once = await open(t, () => {}, { attempts: 1 });
  const last = new AbortController();
  const lastDone = t.rejects(once.upstream.manifest('library/alpine', 'latest', last.signal), { code: 'ABORTED' }, 'in the last attempt');
  await until(() => once.server.seen.length > 0);
  last.abort();
  await lastDone;
  const ways: readonly (readonly [string, (signal: AbortSignal) => Promise<unknown>])[] = [
    ['while the headers are awaited', (signal) => upstream.manifest('library/alpine', 'latest', signal)],
    ['in a body', (signal) => readStream(upstream.blob('library/alpine', identify(MANIFEST), signal))],
  ];
  for (const [where, work] of ways) {
    const controller = new AbortController();
    const requests = server.seen.length;
    const done = t.rejects(work(controller.signal), { code: 'ABORTED' }, where);
    await until(() => server.seen.length > requests);
    controller.abort();
    await done;
  }
  const controller = new AbortController();
  const done = t.rejects(upstream.manifest('library/alpine', 'busy', controller.signal), { code: 'ABORTED' }, 'in a pause');
  await until(() => upstream.time.pauses.length > 0);
  controller.abort();
  await done;
  t.same(upstream.time.limits, [], 'no timer is left');
  t.notOk(upstream.lines.some(({ level }) => level === 'warn'));
});
