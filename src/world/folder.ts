/** A folder that the operator chose and the disk doesn't give, told as one line that says what to do. Never repairs anything. */

const ADVICE: Readonly<Record<string, string>> = {
  EROFS: 'the disk is mounted read-only; mount it writable or choose another folder',
  ENOSPC: 'the disk is full; make room or choose another folder',
  EDQUOT: 'the quota of this user is used up; make room or choose another folder',
  EACCES: 'this user may not write there; change its owner or choose another folder',
  EPERM: 'this user may not write there; change its owner or choose another folder',
  EEXIST: 'a file is in its place; move the file away or choose another folder',
  EIO: 'the disk reports errors; replace it or choose another folder',
  ENOTDIR: 'a file is in its place; move the file away or choose another folder',
};

/** Whatever is done there, they come again until somebody sees to the disk. */
const OF_THE_DISK: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO']);

export class FolderError extends Error {
  readonly code: string;
  readonly folder: string;

  constructor(folder: string, code: string, cause: unknown) {
    super(`cannot use the folder ${folder}: ${ADVICE[code] ?? 'the disk refused'} (${code})`, { cause });
    this.name = 'FolderError';
    this.code = code;
    this.folder = folder;
  }
}

/** What an error of the disk itself means for the work in the folder: a FolderError. Any other error as it is. */
export function explained(error: unknown, folder: string): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return OF_THE_DISK.has(code) && !(error instanceof FolderError) ? new FolderError(folder, code, error) : error;
}

/** Does `work` in the folder; what the disk refuses becomes a FolderError, everything else is thrown on. */
export async function usable<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : null;
    throw code === null ? error : new FolderError(folder, code, error);
  }
}
