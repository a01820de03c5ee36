/** The chain store under kill -9: whatever the instant, it opens at a whole tip, and nothing acknowledged is lost. SPEC §5.4. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { encode, proveKey, stateRecord, verifyKeyProof } from '../../chain/index.ts';
import { openChainStore, openLevelStore } from '../../chain/store/index.ts';
import { sha256, TestNetwork } from './state-fixture.ts';

const network = new TestNetwork();
const child = fileURLToPath(new URL('./store-kill-child.js', import.meta.url));

/** Runs the child until it has said `lines` heights, kills it, and gives the last it said. */
async function killAfter(folder: string, lines: number): Promise<number> {
  const running = spawn(process.execPath, [child, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  let last = 0;
  let seen = 0;
  for await (const line of createInterface({ input: running.stdout })) {
    last = Number(line);
    seen += 1;
    if (seen === lines) running.kill('SIGKILL');
  }
  if (running.exitCode === null && running.signalCode === null) await once(running, 'exit');
  return last;
}

t.test('killed again and again, it goes on from the last block or the one after', async (t) => {
  const folder = join(t.testdir({}), 'chain');
  let height = 0;
  for (const lines of [1, 2, 4, 3]) {
    const said = await killAfter(folder, lines);
    t.ok(said >= height + lines, `${said} is acknowledged`);
    const kv = await openLevelStore(folder);
    const store = await openChainStore({ kv, sha256 }, network.genesis);
    t.ok(store.height === said || store.height === said + 1, `${store.height} is on the disk`);
    t.equal(store.counts.artifacts, 40 * store.height);
    const view = store.view();
    t.equal(view.logRange.size, 40 * store.height);
    const records = await store.records('', { limit: 10_000 });
    t.equal(records.length, 6 + 40 * store.height);
    const unproven = records.filter(([key, record]) => {
      const proof = proveKey({ sha256, reader: view.tree }, view.stateRoot, key);
      return !verifyKeyProof(sha256, { root: view.stateRoot, key, value: encode(stateRecord, record) }, proof);
    });
    t.equal(unproven.length, 0);
    height = store.height;
    await kv.close();
  }
});
