/**
 * Ed25519, hashing and the codec, one thread: each beside a baseline of the same run. `openssl speed` where it is installed; Node's own
 * createHash and JSON otherwise.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { asDigest, decode, encode, MAX_SEALED_BYTES, sealedTransaction } from '../chain/index.ts';
import { generateNodeKeys } from '../genesis/index.ts';
import { openEd25519Verifier } from '../src/crypto/ed25519.ts';
import { sha256 } from '../src/crypto/sha256.ts';
import { systemClock, systemTimers } from '../src/world/clock.ts';
import { claimMaker, endorserOf } from './endorsed-claims.ts';
import type { Figure } from './table.ts';

const RUN_MS = 1000;
const MIB = 1024 * 1024;

export async function measurePrimitives(): Promise<readonly Figure[]> {
  return [...(await signatures()), ...(await hashes()), ...codec()];
}

/** Calls a second over about a second. */
function rate(call: () => unknown): number {
  for (let count = 0; count < 100; count += 1) call();
  const started = performance.now();
  let calls = 0;
  while (performance.now() - started < RUN_MS) {
    for (let count = 0; count < 20; count += 1) call();
    calls += 20;
  }
  return (calls * 1000) / (performance.now() - started);
}

async function signatures(): Promise<readonly Figure[]> {
  const { signer } = endorserOf(generateNodeKeys());
  const message = Buffer.alloc(150, 3);
  const item = { publicKey: signer.publicKey('consensus'), message, signature: signer.sign('consensus', message) };
  const verifier = openEd25519Verifier({}, { clock: systemClock, timers: systemTimers });
  const openssl = await opensslSignatures();
  const signs = rate(() => signer.sign('consensus', message));
  const verifies = await asyncRate(async () => await verifier.verify(item));
  const batch = Array.from({ length: 500 }, () => item);
  const pooled = 500 * (await asyncRate(async () => await verifier.verifyMany(batch)));
  await verifier.close();
  const floor = (value: number | undefined): Pick<Figure, 'floor'> =>
    value === undefined ? {} : { floor: { name: 'openssl speed', value } };
  return [
    { name: 'ed25519 sign', value: signs, unit: '/s', ...floor(openssl?.sign) },
    { name: 'ed25519 verify', value: verifies, unit: '/s', ...floor(openssl?.verify) },
    { name: 'ed25519 verify, 500 at once on the pool', value: pooled, unit: '/s', ...floor(openssl?.verify) },
  ];
}

async function asyncRate(call: () => Promise<unknown>): Promise<number> {
  await call();
  const started = performance.now();
  let calls = 0;
  while (performance.now() - started < RUN_MS) {
    await call();
    calls += 1;
  }
  return (calls * 1000) / (performance.now() - started);
}

async function opensslSignatures(): Promise<{ readonly sign: number; readonly verify: number } | null> {
  const output = await openssl(['speed', '-seconds', '1', 'ed25519']);
  const found = /Ed25519\)?\s+(?:[\d.]+s\s+){2}([\d.]+)\s+([\d.]+)/.exec(output ?? '');
  return found === null ? null : { sign: Number(found[1]), verify: Number(found[2]) };
}

async function openssl(args: readonly string[]): Promise<string | null> {
  try {
    return (await promisify(execFile)('openssl', args)).stdout;
  } catch {
    return null;
  }
}

async function hashes(): Promise<readonly Figure[]> {
  const [small, large] = [new Uint8Array(64).fill(1), new Uint8Array(MIB).fill(2)];
  const plain = rate(() => createHash('sha256').update(small).digest());
  const whole = rate(() => sha256(large));
  const output = await openssl(['speed', '-seconds', '1', '-bytes', String(MIB), 'sha256']);
  const kilobytes = /^sha256\s+([\d.]+)k/m.exec(output ?? '')?.[1];
  return [
    { name: 'sha256 of 64 bytes', value: rate(() => sha256(small)), unit: '/s', floor: { name: 'createHash', value: plain } },
    {
      name: 'sha256 of 1 MiB',
      value: whole,
      unit: 'MiB/s',
      ...(kilobytes === undefined ? {} : { floor: { name: 'openssl speed', value: (Number(kilobytes) * 1000) / MIB } }),
    },
  ];
}

/** A sealed transaction of 50 claims: our bytes against JSON of the same values. */
function codec(): readonly Figure[] {
  const endorsers = [generateNodeKeys(), generateNodeKeys(), generateNodeKeys()].map(endorserOf);
  const { sealed, bytes } = claimMaker(asDigest(new Uint8Array(32)), endorsers).make(50);
  const textual = JSON.stringify(sealed, (_key, value: unknown) => (value instanceof Uint8Array ? hexOf(value) : value));
  const plain: unknown = JSON.parse(textual);
  return [
    {
      name: `encode a transaction of 50 claims (${bytes.length} bytes)`,
      value: rate(() => encode(sealedTransaction, sealed)),
      unit: '/s',
      floor: { name: 'JSON.stringify', value: rate(() => JSON.stringify(plain)) },
    },
    {
      name: 'decode and check it',
      value: rate(() => decode(sealedTransaction, bytes, { maxBytes: MAX_SEALED_BYTES })),
      unit: '/s',
      floor: { name: 'JSON.parse', value: rate(() => JSON.parse(textual)) },
    },
  ];
}

function hexOf(value: Uint8Array): string {
  return Buffer.from(value).toString('hex');
}
