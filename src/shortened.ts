/** Cuts text to what a message of the chain holds. */

/** At most so many UTF-16 code units, and never half a character: that could not be encoded. */
export function shortened(text: string, maxLength: number): string {
  const short = text.slice(0, maxLength);
  return /[\uD800-\uDBFF]$/.test(short) ? short.slice(0, -1) : short;
}
