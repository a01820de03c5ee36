/**
 * A real node whose disk is full, or turns read-only under it, in the midst of work. Where its promises rest (the chain, the write-ahead log,
 * the sign state, the endorsement book) it stops and says why; under the stored files it goes on. docs/operations.md, *Disk full, or read-only*.
 */

import path from 'node:path';
import t, { type Test } from 'tap';
import type { LocalnetNode } from '../../src/localnet/index.ts';
import { Publishers } from '../chaos/publishers.ts';
import { converged, judge } from '../chaos/verdict.ts';
import { client } from '../clients.ts';
import { type Fixture, startNetwork, temporaryFolder, waitFor } from '../end-to-end/localnet-fixture.ts';
import { putOnSmallDisk, type SmallDisk, whyNoSmallDisk } from './small-disk.ts';

const WAIT_MS = 60_000;
/** So that there is always something to write, and most of the machine is left to the nodes. */
const LOAD = { name: 'load', paceMs: 1_000, sizeOf: (nth: number): number => 1 + ((nth * 7919) % 20_000) };

const FAILURES = [
  { name: 'full', strike: (disk: SmallDisk) => disk.fill(), told: /full|has room|ENOSPC/ },
  // What is under way while the file system turns is answered with EIO, what comes after with EROFS.
  { name: 'read-only', strike: (disk: SmallDisk) => disk.turnReadOnly(), told: /read-only|writable|EROFS|EIO/ },
] as const;

/** What a node can't do without, below its data folder, and the folder that its words name. */
const PLACES = { chain: 'chain', wal: '', 'sign-state': '', node: 'node' } as const;
const VITAL = ['chain', 'wal', 'sign-state', 'node'] as const;
/** A log takes the room of the one before it: on a disk that is full the next may go on for minutes. */
const CASES = VITAL.flatMap((place) => FAILURES.map((failure) => ({ place, ...failure }))).filter(
  ({ place, name }) => place !== 'wal' || name !== 'full',
);

t.setTimeout(560_000);

async function open(t: Test): Promise<Fixture | null> {
  const curl = client(t, 'curl');
  if (curl === null) return null;
  const why = await whyNoSmallDisk(await temporaryFolder(t));
  if (why !== null) {
    t.pass('needs a small file system', { skip: why });
    return null;
  }
  return await startNetwork(t, { curl, mirrors: 0, startArgs: ['--publish-wait-ms', '20000'] });
}

/** Stops the node, gives it the disk, and starts it again; the disk goes when the test ends. */
async function giveSmallDisk(t: Test, fixture: Fixture, of: { readonly node: LocalnetNode; readonly place: string }): Promise<SmallDisk> {
  await of.node.process.stop(WAIT_MS);
  const disk = await putOnSmallDisk(path.join(of.node.dataDir, of.place));
  let isThere = true;
  const remove = async (): Promise<void> => {
    if (isThere) await disk.remove();
    isThere = false;
  };
  t.teardown(async () => {
    await of.node.process.kill('SIGKILL');
    await remove();
  });
  await fixture.restart(of.node);
  return { ...disk, remove };
}

t.test(
  'a full or read-only disk under what its promises rest on ends the node, with the reason; back on a sound disk it goes on',
  async (t) => {
    const fixture = await open(t);
    if (fixture === null) return;
    const load = new Publishers(fixture.authorities, LOAD);
    t.teardown(() => load.stop());
    for (const [index, { place, name, strike, told }] of CASES.entries()) {
      const node = fixture.authorities[index % fixture.authorities.length] ?? fixture.node('node1');
      const disk = await giveSmallDisk(t, fixture, { node, place });
      await strike(disk);
      const exit = await node.process.exited;
      t.equal(exit?.code, 1, `${place} ${name}: ${node.name} ends by itself`);
      const tail = node.process.logTail(60);
      const last = tail.at(-1) ?? '';
      t.match(last, told, 'its last line says what failed');
      t.ok(last.includes(path.join(node.dataDir, PLACES[place])), 'and where');
      t.equal(tail.filter((line) => line.includes('the node stops')).length, 1, 'and the log that it stops, once');
      await disk.remove();
      await fixture.restart(node);
    }
    await load.stop();
    t.equal(await converged(fixture.localnet, WAIT_MS), null, 'all converge');
    const { problems, downloads } = await judge(fixture.localnet, load.acknowledged);
    const unforeseen = problems.filter((problem) => !/the node stops/.test(problem));
    t.same(unforeseen, [], `no fork, no evidence and no loss over ${downloads} downloads`);
  },
);

for (const { name, strike } of FAILURES) {
  t.test(`a ${name} disk under the stored files: publications are refused with 507, and the node goes on`, async (t) => {
    const fixture = await open(t);
    if (fixture === null) return;
    const [node, other] = fixture.authorities;
    if (node === undefined || other === undefined) throw new RangeError('expected four authorities');
    const held = '/generic/demo/held/1.0.0/file.txt';
    t.equal((await fixture.publish(node, held, Buffer.from('held before\n'))).status, 201);
    const disk = await giveSmallDisk(t, fixture, { node, place: 'files' });
    await strike(disk);
    t.equal((await fixture.publish(node, '/generic/demo/late/1.0.0/file.txt', Buffer.alloc(100_000, 7))).status, 507);
    const elsewhere = await fixture.publish(other, '/generic/demo/late/1.0.1/file.txt', Buffer.alloc(100_000, 8));
    t.equal(elsewhere.status, 201, 'the other three commit');
    await fixture.waitForHeight(node, await fixture.height(other));
    t.ok(node.process.running, 'it follows the chain');
    t.equal((await fixture.get(node, held)).status, 200, 'and serves what it holds');
    if (name === 'read-only') return;
    await disk.makeRoom();
    const again = await waitFor('room again', WAIT_MS, async () => {
      const { status } = await fixture.publish(node, '/generic/demo/late/1.0.2/file.txt', Buffer.alloc(100_000, 9));
      return status === 201;
    });
    t.ok(again, 'with room it publishes again');
  });
}
