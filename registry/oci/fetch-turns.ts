/**
 * Whose turn it is to fetch a blob: a few at once, and never one image alone. A first fetch of an image begins at once, whatever the others
 * do, so that slow ones hold up only themselves; how many images there are at a time is for those to bound who ask.
 */

export interface FetchTurnsOptions {
  /** Over all images; above it each still has one. */
  readonly atOnce: number;
  readonly ofOneImage: number;
}

interface Waiting {
  readonly image: string;
  readonly begin: () => void;
}

export class FetchTurns {
  readonly #options: FetchTurnsOptions;
  /** Fetches under way, by image. */
  readonly #running: Map<string, number> = new Map();
  /** Longest waiting first. */
  #waiting: readonly Waiting[] = [];
  #total = 0;

  constructor(options: FetchTurnsOptions) {
    this.#options = options;
  }

  /** Does the work when it is the image's turn. */
  async run<T>(image: string, work: () => Promise<T>): Promise<T> {
    if (this.#mayBegin(image)) this.#count(image, 1);
    else {
      await new Promise<void>((begin) => {
        this.#waiting = [...this.#waiting, { image, begin }];
      });
    }
    try {
      return await work();
    } finally {
      this.#count(image, -1);
      this.#beginNext();
    }
  }

  #mayBegin(image: string): boolean {
    const running = this.#running.get(image) ?? 0;
    return running === 0 || (running < this.#options.ofOneImage && this.#total < this.#options.atOnce);
  }

  #count(image: string, by: 1 | -1): void {
    const running = (this.#running.get(image) ?? 0) + by;
    if (running === 0) this.#running.delete(image);
    else this.#running.set(image, running);
    this.#total += by;
  }

  #beginNext(): void {
    for (const next of this.#waiting) {
      if (!this.#mayBegin(next.image)) continue;
      this.#waiting = this.#waiting.filter((one) => one !== next);
      this.#count(next.image, 1);
      next.begin();
    }
  }
}
