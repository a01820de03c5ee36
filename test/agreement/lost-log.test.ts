/** A node that signed at a height and lost its log of it must not vote there again: it may be bound by a lock it has forgotten. */

import t from 'tap';
import { encode, sealedTransaction } from '../../chain/index.ts';
import { VirtualWorld } from '../world/world.ts';

t.test('a lost write-ahead log means silence at the height that was signed at, and no longer', async (t) => {
  const world = new VirtualWorld({ seed: 5, authorities: 4, mirrors: 0 });
  await world.startAll();
  const [first, second, third, fourth] = world.authorities();
  if (first === undefined || second === undefined || third === undefined || fourth === undefined) throw new Error('expected four');
  // Two of four sign at height 1 and decide nothing.
  world.crash(third);
  world.crash(fourth);
  const submit = (version: string): void => {
    for (const one of world.authorities()) void one.node?.operations.submit(encode(sealedTransaction, world.sealed(version)));
  };
  submit('1.0.0');
  await world.time.advance(20_000);
  t.ok(first.node?.engine?.machine.votes.rounds.size, 'it has voted');
  await first.node?.stop();
  for (const path of first.files.paths()) if (path.startsWith('wal/')) await first.files.remove(path);
  await world.start(first);
  t.equal(first.node?.engine?.signFromHeight, 2, 'silent at height 1');
  await world.start(third);
  await world.start(fourth);
  const reached = (height: number): Promise<boolean> => world.time.until(() => world.heights().every((one) => one >= height), 120_000);
  submit('1.0.1');
  t.ok(await reached(1), 'the three others decide height 1');
  world.crash(fourth);
  submit('1.0.2');
  t.ok(await reached(2), 'and with it signing again, three of four decide height 2');
  await world.close();
});

t.test('a sign state older than an own signature on the chain means silence through the next height', async (t) => {
  const world = new VirtualWorld({ seed: 6, authorities: 4, mirrors: 0 });
  await world.startAll();
  const [first, , , fourth] = world.authorities();
  if (first === undefined || fourth === undefined) throw new Error('expected four');
  // Only three are up, so every certificate bears the first one's signature.
  world.crash(fourth);
  const decide = async (version: string, height: number): Promise<boolean> => {
    for (const one of world.authorities()) void one.node?.operations.submit(encode(sealedTransaction, world.sealed(version)));
    return await world.time.until(() => world.heights().every((one) => one >= height), 120_000);
  };
  t.ok(await decide('1.0.0', 1));
  t.ok(await decide('1.0.1', 2));
  await first.node?.stop();
  const signState = await first.files.open('sign-state', 'write');
  await signState.truncate(0);
  await signState.sync();
  await world.start(first);
  t.equal(first.node?.engine?.signFromHeight, 4, 'an emptied file is no memory of having signed nothing');
  await world.start(fourth);
  t.ok(await decide('1.0.2', 3), 'the others go on');
  t.ok(await decide('1.0.3', 4), 'and it with them from there');
  await world.close();
});
