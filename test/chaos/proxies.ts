/**
 * Loopback behind a proxy: each node dials each other one through a port of its own, so that any pair can be parted without any right on the
 * machine. A parted connection goes silent and stays open; new ones are cut at once. Nodes announce an address where nobody listens, so that
 * no way leads around the proxy.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';
import type { LocalnetNode } from '../../src/localnet/index.ts';
import { TAPPED_CAIRN } from './tapped.ts';
import { type Groups, loopbackAddress, reconfigure, type Terrain } from './terrain.ts';

/** The discard port: nobody's. */
const NOWHERE = '/ip4/127.0.0.1/tcp/9';

interface Link {
  readonly from: string;
  readonly to: LocalnetNode;
  readonly server: Server;
  readonly sockets: Set<Socket>;
  isCut: boolean;
}

export async function openProxies(nodes: readonly LocalnetNode[]): Promise<Terrain> {
  const links: Link[] = [];
  for (const from of nodes) {
    const own = await Promise.all(nodes.filter((to) => to !== from).map((to) => openLink(from.name, to)));
    links.push(...own);
    await reconfigure(from, (text) => throughProxies(text, own));
  }
  return {
    kind: 'proxies',
    commandOf: () => TAPPED_CAIRN,
    part: async (groups) => {
      for (const link of links) cut(link, groups !== null && !areTogether(groups, link.from, link.to.name));
    },
    close: async () => {
      for (const { server, sockets } of links) {
        server.close();
        for (const socket of sockets) socket.destroy();
      }
    },
  };
}

function areTogether(groups: Groups, one: string, other: string): boolean {
  return groups.some((names) => names.includes(one) && names.includes(other));
}

function throughProxies(text: string, links: readonly Link[]): string {
  const announced = text.replace('[p2p]\n', `[p2p]\nannounce = ["${NOWHERE}"]\n`);
  return links.reduce((done, { to, server }) => {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    return done.replaceAll(`${loopbackAddress(to)}/p2p/`, `/ip4/127.0.0.1/tcp/${port}/p2p/`);
  }, announced);
}

async function openLink(from: string, to: LocalnetNode): Promise<Link> {
  const server = createServer({ pauseOnConnect: false });
  const link: Link = { from, to, server, sockets: new Set(), isCut: false };
  server.on('connection', (near) => (link.isCut ? near.destroy() : join(link, near)));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1' }, resolve);
  });
  return link;
}

function join(link: Link, near: Socket): void {
  const far = connect(link.to.ports.p2p, '127.0.0.1');
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    link.sockets.add(from);
    from.on('data', (data) => {
      if (!to.write(data)) from.pause();
    });
    to.on('drain', () => {
      if (!link.isCut) from.resume();
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      link.sockets.delete(from);
      to.destroy();
    });
  }
}

function cut(link: Link, isCut: boolean): void {
  link.isCut = isCut;
  for (const socket of link.sockets) {
    if (isCut) socket.pause();
    else socket.resume();
  }
}
