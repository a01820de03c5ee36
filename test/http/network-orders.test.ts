/** The admin API's orders about the network as a whole, and builds: what reaches the node, and what is refused before it hears of it. */

import type { FastifyInstance } from 'fastify';
import t from 'tap';
import { adminApp } from '../../src/http/index.ts';
import { noMetrics } from '../../src/metrics/types.ts';
import type { Logger } from '../../src/ports.ts';
import { operationsDouble } from './operations-double.ts';

const TOKEN = 'a-token-of-some-length';
const silent: Logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
const auth = { authorization: `Bearer ${TOKEN}`, host: '127.0.0.1:7889' };

function admin(): { app: FastifyInstance; operations: ReturnType<typeof operationsDouble> } {
  const operations = operationsDouble();
  return { app: adminApp({ token: TOKEN }, { metrics: noMetrics, log: silent, operations }), operations };
}

t.test('orders about the network as a whole: members, parameters, evidence', async (t) => {
  const { app, operations } = admin();
  const get = async (url: string): Promise<unknown> => (await app.inject({ url, headers: auth })).json();
  const post = (url: string, payload: object) => app.inject({ method: 'POST', url, headers: auth, payload });
  t.match(await get('/members'), { height: 7, own: { name: 'node1' } });
  t.match(await get('/parameters'), { height: 0, pending: null });
  t.match(await get('/evidence?limit=3&after=e'), { evidence: [{ type: 'prevote', recordedAt: 4 }] });
  t.match((await post('/authorize', { order: 'add', target: 'node5' })).json(), { kind: 'marked', warning: 'three are left' });
  t.match((await post('/authorize', { order: 'remove', target: 'refused', reason: 'r' })).statusCode, 409);
  t.match((await post('/parameters', { parameters: { heartbeatMs: 1 }, atHeight: 9 })).json(), { kind: 'committed' });
  t.same(operations.calls, [
    ['members'],
    ['parameters'],
    ['evidence', { after: 'e', limit: 3 }],
    ['authorize', { order: 'add', target: 'node5', reason: null }],
    ['authorize', { order: 'remove', target: 'refused', reason: 'r' }],
    ['propose', { heartbeatMs: 1 }, 9],
  ]);
});

t.test('bad orders are refused before the node hears of them', async (t) => {
  const { app, operations } = admin();
  const requests: readonly (readonly ['GET' | 'POST', string, string | null, number])[] = [
    ['POST', '/authorize', '{"order":"promote","target":"t"}', 400],
    ['POST', '/authorize', '{"order":"add"}', 400],
    ['POST', '/authorize', `{"order":"add","target":"${'t'.repeat(7000)}"}`, 400],
    ['POST', '/authorize', '{"order":"remove","target":"t","reason":""}', 400],
    ['POST', '/parameters', '{"parameters":[]}', 400],
    ['POST', '/parameters', '{"parameters":{},"atHeight":0}', 400],
    ['POST', '/parameters', '{"atHeight":5}', 400],
    ['GET', '/evidence?limit=0', null, 400],
  ];
  for (const [method, url, payload, status] of requests) {
    const headers = { ...auth, 'content-type': 'application/json' };
    const answer = await app.inject({ method, url, headers, ...(payload === null ? {} : { payload }) });
    t.equal(answer.statusCode, status, `${method} ${url} ${payload?.slice(0, 40) ?? ''}`);
  }
  t.same(operations.calls, []);
});

t.test('the admin API takes builds and tells how far they are', async (t) => {
  const { app, operations } = admin();
  const post = (image: unknown) => app.inject({ method: 'POST', url: '/build', headers: auth, payload: { image } });
  t.match((await post('alpine:3')).json(), { kind: 'started', image: 'alpine:3' });
  const refused = await post('refused');
  t.same([refused.statusCode, refused.json().reason], [409, 'no rule']);
  t.equal((await post('')).statusCode, 400);
  const id = 'f'.repeat(64);
  t.match((await app.inject({ url: `/build?id=${id}`, headers: auth })).json(), {
    id,
    state: 'failure',
    verdicts: [{ authority: 'node2' }],
  });
  for (const bad of ['/build', '/build?id=abc', `/build?id=${id.toUpperCase()}`])
    t.equal((await app.inject({ url: bad, headers: auth })).statusCode, 400, bad);
  t.same(operations.calls, [
    ['build', 'alpine:3'],
    ['build', 'refused'],
    ['buildStatus', id],
  ]);
});
