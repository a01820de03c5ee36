/**
 * Golden traces: whole heights as text. A file of test/consensus/golden holds the set, the own letter, inputs (`> …`) in the notation of
 * notation.ts, and under each its outputs (`  …`) and the state after it (`  = …`). With CAIRN_UPDATE_GOLDEN=1 the files are rewritten;
 * otherwise a difference is a failure and never a change.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { machine, printState, run } from './notation.ts';

const folder = new URL('../../../test/consensus/golden/', import.meta.url);
const isUpdate = process.env.CAIRN_UPDATE_GOLDEN === '1';

/** The file as it should be: comments and inputs as they are, outputs and states as they come. */
function render(text: string): string {
  const lines: string[] = [];
  let state = machine();
  for (const line of text.split('\n')) {
    if (line.startsWith('#') || line === '') lines.push(line);
    else if (line.startsWith('machine ')) {
      const [, set = '', self = ''] = /^machine ([A-Z=\d ]+) self ([A-Z]|none)$/.exec(line) ?? [];
      state = machine({ set, self: self === 'none' ? null : self });
      lines.push(line);
    } else if (line.startsWith('> ')) {
      const result = run(state, [line.slice(2)]);
      state = result.state;
      lines.push(line, ...result.outputs.map((output) => `  ${output}`), `  = ${printState(state)}`);
    } else if (!line.startsWith('  ')) throw new Error(`expected a comment, machine, input or output, got: ${line}`);
  }
  return lines.join('\n');
}

const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));
t.ok(files.length > 0, 'there are golden traces');
for (const name of files.toSorted()) {
  const text = readFileSync(new URL(name, folder), 'utf8');
  const rendered = render(text);
  if (isUpdate) writeFileSync(new URL(name, folder), rendered);
  t.equal(rendered, isUpdate ? rendered : text, name);
}
