/**
 * A program for namespaces.ts: started inside the network namespace of a node, it is handed listening sockets that were made outside, and
 * carries what comes in through each to the same port on the loopback inside. So whoever stands outside speaks with the node as if it were here.
 */

import { connect, type Server, type Socket } from 'node:net';

process.on('message', (port: number, server: Server) => {
  server.on('connection', (outside: Socket) => {
    const inside = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [outside, inside],
      [inside, outside],
    ] as const) {
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  });
  process.send?.(port);
});
process.on('disconnect', () => process.exit());
