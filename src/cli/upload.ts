/** Sends one file by HTTP PUT and tells how far it is. Never holds more of the file than a few chunks; gives the answer as it came. */

import { createReadStream } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const MAX_ANSWER_BYTES = 65_536;
/** No byte in either direction for this long ends the upload; above any wait of a node for its commit. */
const IDLE_MS = 15 * 60_000;

export interface UploadAnswer {
  readonly status: number;
  readonly text: string;
}

export async function uploadFile(options: {
  readonly url: URL;
  readonly path: string;
  readonly sizeBytes: number;
  readonly token: string;
  readonly onProgress: (sentBytes: number) => void;
}): Promise<UploadAnswer> {
  const send = options.url.protocol === 'https:' ? requestTls : request;
  const outgoing = send(options.url, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${options.token}`,
      'content-type': 'application/octet-stream',
      'content-length': options.sizeBytes,
      accept: 'application/json',
    },
  });
  outgoing.setTimeout(IDLE_MS, () => outgoing.destroy(new Error('the node went silent')));
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
  });
  let sentBytes = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sentBytes += chunk.length;
      options.onProgress(sentBytes);
      done(null, chunk);
    },
  });
  const sent = pipeline(createReadStream(options.path, { highWaterMark: 262_144 }), counter, outgoing);
  // A node may refuse before it has read everything: then its answer counts and not the broken pipe.
  const [outcome] = await Promise.all([answer, sent.catch(() => {})]);
  return { status: outcome.statusCode ?? 0, text: await readAnswer(outcome) };
}

async function readAnswer(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ANSWER_BYTES) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
