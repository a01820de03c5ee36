/**
 * Which addresses belong to the public internet. Follows the IANA registries of special-purpose addresses (RFC 6890): what is reserved, private,
 * shared, local, for documentation or multicast is not public. Knows addresses only, never names.
 */

import { BlockList, isIPv4, isIPv6 } from 'node:net';

const RESERVED_IP4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

/** Within 2000::/3, outside of which no IPv6 address is public but those that stand for an IPv4 one. */
const RESERVED_IP6: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

/** RFC 6052: the last 32 bits are an IPv4 address, reached through the network's own translator. */
const TRANSLATED = '64:ff9b::';

const reserved = blockList();
const global6 = new BlockList();
global6.addSubnet('2000::', 3, 'ipv6');
global6.addSubnet(TRANSLATED, 96, 'ipv6');

/** False for what is not an address at all, for one with a zone, and for IPv4 addresses written as IPv6 (`::ffff:…`). */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !reserved.check(address, 'ipv4');
  if (!isIPv6(address) || address.includes('%')) return false;
  return global6.check(address, 'ipv6') && !reserved.check(address, 'ipv6');
}

function blockList(): BlockList {
  const list = new BlockList();
  for (const [prefix, bits] of RESERVED_IP4) {
    list.addSubnet(prefix, bits, 'ipv4');
    list.addSubnet(`${TRANSLATED}${prefix}`, 96 + bits, 'ipv6');
  }
  for (const [prefix, bits] of RESERVED_IP6) list.addSubnet(prefix, bits, 'ipv6');
  return list;
}
