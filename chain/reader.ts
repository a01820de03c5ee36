/**
 * Reads items out of bytes that scan.ts has found canonical; codec.ts decides what to expect. Follows docs/SPEC.md §1. Knows no schema,
 * and must never be given bytes that were not scanned.
 */

const KIND_KEY = [0x64, 0x6b, 0x69, 0x6e, 0x64];

/** Lives for one decoding. The first refusal stays; whoever reads on after it gets meaningless values, never an exception. */
export class Reader {
  refusal: string | null = null;
  readonly #data: Uint8Array;
  #position = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  /** Notes why the bytes do not fit; the number is only there to be returned. */
  refuse(reason: string): number {
    this.refusal ??= `byte ${this.#position}: ${reason}`;
    return 0;
  }

  /** Major type of the next item. */
  major(): number {
    return this.#at(this.#position) >> 5;
  }

  /** The argument of the next item's head; moves past the head. */
  argument(): number {
    const minor = this.#at(this.#position) & 0x1f;
    this.#position += 1;
    if (minor < 24) return minor;
    const width = 1 << (minor - 24);
    let value = 0;
    for (let index = 0; index < width; index += 1) value = value * 256 + this.#at(this.#position + index);
    this.#position += width;
    return value;
  }

  /** A copy of the next bytes. */
  bytes(length: number): Uint8Array {
    const start = this.#position;
    this.#position += length;
    return this.#data.slice(start, this.#position);
  }

  /** Text of the next bytes. */
  text(length: number): string {
    const data = this.#data;
    const end = this.#position + length;
    let value = '';
    for (let position = this.#position; position < end; position += 1) {
      const byte = data[position] as number;
      if (byte > 0x7f) return this.#wideText(end);
      value += String.fromCharCode(byte);
    }
    this.#position = end;
    return value;
  }

  /** Moves past null if that is next. */
  takeNull(): boolean {
    if (this.#at(this.#position) !== 0xf6) return false;
    this.#position += 1;
    return true;
  }

  /** Moves past a boolean; null if the next item is none. */
  takeBool(): boolean | null {
    const byte = this.#at(this.#position);
    if (byte !== 0xf4 && byte !== 0xf5) return null;
    this.#position += 1;
    return byte === 0xf5;
  }

  /** Moves past exactly these bytes, if they are next. */
  takeExactly(expected: Uint8Array): boolean {
    for (let index = 0; index < expected.length; index += 1) {
      if (this.#data[this.#position + index] !== expected[index]) return false;
    }
    this.#position += expected.length;
    return true;
  }

  /** The text under the key `kind` of the record that is next, or null; stays where it is. */
  peekKind(): string | null {
    const start = this.#position;
    const kind = this.major() === 5 ? this.#findKind(this.argument()) : null;
    this.#position = start;
    return kind;
  }

  #findKind(entries: number): string | null {
    for (let index = 0; index < entries; index += 1) {
      if (KIND_KEY.every((byte, offset) => this.#data[this.#position + offset] === byte)) {
        this.#position += KIND_KEY.length;
        const length = this.major() === 3 ? this.argument() : Number.POSITIVE_INFINITY;
        return length <= 64 ? this.text(length) : null;
      }
      this.#skip();
      this.#skip();
    }
    return null;
  }

  /** Moves past the next item, whatever it is. */
  #skip(): void {
    let open = 1;
    while (open > 0) {
      const major = this.major();
      const argument = major === 7 ? this.#simple() : this.argument();
      if (major === 2 || major === 3) this.#position += argument;
      open += (major === 4 ? argument : major === 5 ? argument * 2 : 0) - 1;
    }
  }

  #simple(): number {
    this.#position += 1;
    return 0;
  }

  #wideText(end: number): string {
    let value = '';
    while (this.#position < end) value += String.fromCodePoint(this.#codePoint());
    return value;
  }

  #codePoint(): number {
    const first = this.#at(this.#position);
    const width = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    let value = width === 1 ? first : first & (0x7f >> width);
    for (let index = 1; index < width; index += 1) value = (value << 6) | (this.#at(this.#position + index) & 0x3f);
    this.#position += width;
    return value;
  }

  /** Scanned bytes hold what their heads announce, so there is always a byte; 0 keeps the type simple. */
  #at(position: number): number {
    return this.#data[position] ?? 0;
  }
}
