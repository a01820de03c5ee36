/** The real disk keeps the same contract as the one in memory. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openDisk } from '../../src/world/disk.ts';
import { fileSystemContract } from './file-system-contract.ts';

t.test('contract', async (t) => {
  fileSystemContract(t, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cairn-disk-'));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    return openDisk(folder);
  });
});
