/**
 * Who may run now: places for requests of one protocol, in total and per peer, with a short line of those who wait.
 * When the line is full the request is refused, so that no peer can pile up work; each peer waits in turn, first come, first served.
 */

export interface AdmissionOptions {
  readonly maxRunning: number;
  readonly maxRunningPerPeer: number;
  readonly maxWaitingPerPeer: number;
  readonly maxWaiting: number;
}

export interface Admission {
  /** Resolves to the way out, to be called once; null when refused. */
  readonly enter: (peerId: string) => Promise<(() => void) | null>;
}

export function openAdmission(options: AdmissionOptions): Admission {
  const running = new Map<string, number>();
  const waitingOf = new Map<string, number>();
  const line: { readonly peerId: string; readonly go: () => void }[] = [];
  let total = 0;

  const mayRun = (peerId: string): boolean => total < options.maxRunning && (running.get(peerId) ?? 0) < options.maxRunningPerPeer;

  function leave(peerId: string): void {
    total -= 1;
    count(running, peerId, -1);
    for (let next = line.findIndex((entry) => mayRun(entry.peerId)); next >= 0; next = line.findIndex((entry) => mayRun(entry.peerId))) {
      const [entry] = line.splice(next, 1);
      if (entry === undefined) return;
      count(waitingOf, entry.peerId, -1);
      take(entry.peerId);
      entry.go();
    }
  }

  function take(peerId: string): void {
    total += 1;
    count(running, peerId, 1);
  }

  return {
    enter: async (peerId) => {
      const exit = onceOnly(() => leave(peerId));
      if (mayRun(peerId)) {
        take(peerId);
        return exit;
      }
      if (line.length >= options.maxWaiting || (waitingOf.get(peerId) ?? 0) >= options.maxWaitingPerPeer) return null;
      count(waitingOf, peerId, 1);
      await new Promise<void>((resolve) => {
        line.push({ peerId, go: resolve });
      });
      return exit;
    },
  };
}

function count(counts: Map<string, number>, key: string, change: number): void {
  const next = (counts.get(key) ?? 0) + change;
  if (next === 0) counts.delete(key);
  else counts.set(key, next);
}

function onceOnly(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
