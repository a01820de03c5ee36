/** The load client where there is no `wrk`: one request after the other on every connection, counted and thrown away. Started by load.ts. */

import { connect, type Socket } from 'node:net';
import type { Load, LoadFigures } from './load.ts';

const BUFFER_BYTES = 1_048_576;

const load = JSON.parse(process.argv[2] ?? '{}') as Load;
const { hostname, port, pathname, search } = new URL(load.url);
const lines = Object.entries(load.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
const request = Buffer.from(`GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}\r\n${lines.join('')}\r\n`);
const started = performance.now();
const figures = { bytes: 0, answers: 0 };
const sockets = Array.from({ length: load.connections }, open);

setTimeout(() => {
  const seconds = (performance.now() - started) / 1000;
  for (const socket of sockets) socket.destroy();
  const found: LoadFigures = { mibPerSecond: figures.bytes / 1_048_576 / seconds, requestsPerSecond: figures.answers / seconds };
  process.stdout.write(JSON.stringify(found));
}, load.seconds * 1000);

/** The bytes of a body are only counted; its head fits into the first that come. */
function open(): Socket {
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  let restBytes = 0;
  const socket: Socket = connect({
    host: hostname,
    port: Number(port),
    onread: {
      buffer,
      callback: (length) => {
        figures.bytes += length;
        restBytes = restBytes === 0 ? restOf(buffer.subarray(0, length)) : restBytes - length;
        if (restBytes === 0) {
          figures.answers += 1;
          socket.write(request);
        }
        return true;
      },
    },
  });
  socket.on('connect', () => socket.write(request)).on('error', fail);
  return socket;
}

function restOf(first: Buffer): number {
  const end = first.indexOf('\r\n\r\n');
  const head = first.toString('latin1', 0, Math.max(0, end));
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (!head.startsWith('HTTP/1.1 200') || length === undefined) fail(new Error(`expected 200 with a length, got ${head.slice(0, 200)}`));
  return Number(length) - (first.length - end - 4);
}

function fail(error: Error): never {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
