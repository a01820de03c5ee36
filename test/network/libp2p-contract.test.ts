/**
 * The contract of the Network port, kept by real libp2p nodes on loopback.
 */

import t from 'tap';
import { networkContract } from './contract.ts';
import { makeLoopbackNetworks } from './loopback.ts';

networkContract(t, makeLoopbackNetworks);
