/** What the registry floor shows. */

export type {
  Clock,
  FileHandle,
  FileStat,
  FileSystem,
  Logger,
  PeerFault,
  PeerJudge,
  PeerRequests,
  ProviderDirectory,
  RequestOptions,
  Timer,
  Timers,
} from './ports.ts';
export type { CheckVerdict, ClaimChecker, Ledger, LedgerEntry, Publishing, PublishResult } from './types.ts';
