/** The virtual network keeps the contract that the real one keeps. */

import t from 'tap';
import { type MakeNetworks, networkContract } from '../network/contract.ts';
import { SeededRandom } from './seeded-random.ts';
import { VirtualAir } from './virtual-air.ts';
import { VirtualNetwork } from './virtual-network.ts';
import { VirtualTime } from './virtual-time.ts';

const LIMIT_MS = 600_000;

const makeVirtualNetworks: MakeNetworks = async (count, prepare) => {
  const random = new SeededRandom(count);
  const time = new VirtualTime(0);
  const air = new VirtualAir(time, random);
  const networks = Array.from({ length: count }, () => new VirtualNetwork(air, random.bytes(32)));
  for (const [index, network] of networks.entries()) prepare(network, index);
  for (const network of networks) await network.start();
  return {
    networks,
    until: async (condition) => {
      if (!(await time.until(condition, LIMIT_MS))) throw new Error('the condition did not come');
    },
    drive: async (work) => {
      let settled = false;
      const noted = work.finally(() => {
        settled = true;
      });
      noted.catch(() => undefined);
      await time.until(() => settled, LIMIT_MS);
      return await noted;
    },
    close: async () => {
      for (const network of networks) await network.stop();
    },
  };
};

networkContract(t, makeVirtualNetworks);
