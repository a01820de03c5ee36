/** The flat digest and the leaf layer of a file that lies on the disk. Follows docs/SPEC.md §11. Compares them with nothing. */

import { createHash } from 'node:crypto';
import { MAX_RUN_BYTES, PieceHasher } from './pieces.ts';
import type { FileHandle } from './ports.ts';

/** Hashes an open file whole, 1 MiB at a time; `pause` runs before each read. */
export async function hashFile(
  handle: FileHandle,
  sizeBytes: number,
  pause?: (nextBytes: number) => Promise<void>,
): Promise<{ readonly sha256: Uint8Array; readonly leaves: Uint8Array }> {
  const flat = createHash('sha256');
  const pieces = new PieceHasher();
  const buffer = new Uint8Array(MAX_RUN_BYTES);
  for (let position = 0; position < sizeBytes; ) {
    await pause?.(Math.min(buffer.length, sizeBytes - position));
    const read = await handle.read(buffer, position);
    if (read === 0) break;
    const part = buffer.subarray(0, read);
    flat.update(part);
    pieces.update(part);
    position += read;
  }
  return { sha256: flat.digest(), leaves: pieces.finish().leaves };
}
