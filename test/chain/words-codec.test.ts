/**
 * The encoding: one per value, agreed with an independent DAG-CBOR library, and nothing that arrives can break it. SPEC §1.
 */

import { deepStrictEqual } from 'node:assert';
import * as dagCbor from '@ipld/dag-cbor';
import fc from 'fast-check';
import t from 'tap';
import { array, bool, bytes, claimList, decode, encode, nullable, record, refusalOf, type Schema, text, uint } from '../../chain/index.ts';
import { allSchemas, arbitraryOf, sampleArtifact, sampleCoordinates, sampleFile } from './arbitraries.ts';

const LIMITS = { maxBytes: 1_000_000 };
const schemas = [...allSchemas()];

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

/** What must hold of any bytes: refused with a reason, or their one encoding. Never an exception. */
function refusesOrRoundTrips(schema: Schema<unknown>, data: Uint8Array): boolean {
  const decoded = decode(schema, data, LIMITS);
  if (!decoded.ok) return decoded.reason.length > 0;
  return Buffer.compare(encode(schema, decoded.value), data) === 0;
}

t.test('every structure: decode(encode(value)) is the value, and DAG-CBOR writes the same bytes', async (t) => {
  t.ok(schemas.length >= 40, `there are ${schemas.length} schemas`);
  for (const [name, schema] of schemas) {
    fc.assert(
      fc.property(arbitraryOf(schema), (value) => {
        const encoded = encode(schema, value);
        deepStrictEqual(encoded, new Uint8Array(dagCbor.encode(value)));
        deepStrictEqual(decode(schema, encoded, LIMITS), { ok: true, value });
      }),
      { numRuns: 60 },
    );
    t.pass(name);
  }
});

t.test('every decoder: random bytes are refused with a reason or are the one encoding', async (t) => {
  for (const [name, schema] of schemas) {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (data) => refusesOrRoundTrips(schema, data)),
      { numRuns: 100 },
    );
    t.pass(name);
  }
});

/** One change to valid bytes. */
const mutation = fc.record({
  kind: fc.constantFrom('flip', 'insert', 'delete', 'truncate', 'append'),
  at: fc.nat(),
  byte: fc.oneof(fc.constantFrom(0xa0, 0x80, 0xf6, 0xf7, 0xff, 0x5f, 0x9f, 0xbf, 0xd8, 0x1b, 0x3b, 0xfb), fc.nat({ max: 255 })),
});

function mutate(data: Uint8Array, change: { readonly kind: string; readonly at: number; readonly byte: number }): Uint8Array {
  const at = change.at % data.length;
  switch (change.kind) {
    case 'flip':
      return data.with(at, change.byte);
    case 'insert':
      return Uint8Array.from([...data.subarray(0, at), change.byte, ...data.subarray(at)]);
    case 'delete':
      return Uint8Array.from([...data.subarray(0, at), ...data.subarray(at + 1)]);
    case 'truncate':
      return data.slice(0, at);
    default:
      return Uint8Array.from([...data, change.byte]);
  }
}

t.test('every decoder: damaged encodings are refused with a reason or are the one encoding of another value', async (t) => {
  for (const [name, schema] of schemas) {
    fc.assert(
      fc.property(arbitraryOf(schema), fc.array(mutation, { minLength: 1, maxLength: 3 }), (value, changes) => {
        let data = encode(schema, value);
        for (const change of changes) data = data.length === 0 ? Uint8Array.of(change.byte) : mutate(data, change);
        return refusesOrRoundTrips(schema, data);
      }),
      { numRuns: 100 },
    );
    t.pass(name);
  }
});

const anything = nullable(text(1000));
const numbers = array(uint(), 100);

t.test('refused, whatever the schema', async (t) => {
  const table: readonly (readonly [string, string, Schema<unknown>, RegExp])[] = [
    ['nothing', '', anything, /got the end/],
    ['something after the end', 'f6 f6', anything, /expected the end/],
    ['undefined', 'f7', anything, /only false, true and null/],
    ['a simple value in two bytes', 'f8 16', anything, /only false, true and null/],
    ['a half float', 'f9 0000', uint(), /only false, true and null/],
    ['a double', 'fb 3ff0000000000000', uint(), /only false, true and null/],
    ['a negative integer', '20', uint(), /negative/],
    ['a tag', 'c0 60', anything, /tags/],
    ['a link', 'd82a 41 00', anything, /tags/],
    ['1 in two bytes', '18 01', uint(), /shortest/],
    ['23 in two bytes', '18 17', uint(), /shortest/],
    ['255 in three bytes', '19 00ff', uint(), /shortest/],
    ['65535 in five bytes', '1a 0000ffff', uint(), /shortest/],
    ['2^32 - 1 in nine bytes', '1b 00000000ffffffff', uint(), /shortest/],
    ['2^53', '1b 0020000000000000', uint(), /below 2\^53/],
    ['2^64 - 1', '1b ffffffffffffffff', uint(), /below 2\^53/],
    ['a reserved length', '1c', uint(), /indefinite or reserved/],
    ['indefinite text', '7f 61 61 ff', anything, /indefinite/],
    ['indefinite bytes', '5f 41 00 ff', bytes(10), /indefinite/],
    ['an indefinite array', '9f 01 ff', numbers, /indefinite/],
    ['an indefinite map', 'bf ff', record({}), /indefinite/],
    ['a lone break', 'ff', anything, /only false, true and null/],
    ['a text length that is too long a form', '78 01 61', anything, /shortest/],
    ['text longer than the rest', '62 61', anything, /more bytes/],
    ['bytes longer than the rest', '5b 001fffffffffffff', bytes(10), /more bytes/],
    ['an array longer than the rest', '9b 001fffffffffffff', numbers, /more bytes/],
    ['a map longer than the rest', 'bb 001fffffffffffff', record({}), /more bytes/],
    ['a head cut short', '19 01', uint(), /more bytes/],
    ['overlong UTF-8', '62 c0af', anything, /UTF-8/],
    ['overlong UTF-8 in three bytes', '63 e08080', anything, /UTF-8/],
    ['a surrogate in UTF-8', '63 eda080', anything, /UTF-8/],
    ['above U+10FFFF', '64 f4908080', anything, /UTF-8/],
    ['a lone continuation byte', '61 80', anything, /UTF-8/],
    ['a sequence cut by the end of the text', '61 c3', anything, /UTF-8/],
    ['a sequence that runs on into the next item', '82 61 c3 61 a9', array(text(9), 9), /UTF-8/],
    ['an integer key', 'a1 01 01', record({ a: uint() }), /text key/],
    ['a key beyond ASCII', 'a1 62 c3a9 01', record({ a: uint() }), /ASCII key/],
    ['a doubled key', 'a2 61 61 01 61 61 02', record({ a: uint(), b: uint() }), /canonical order/],
    ['keys in the wrong order', 'a2 61 62 01 61 61 02', record({ a: uint(), b: uint() }), /canonical order/],
    ['a longer key first', 'a2 62 6161 01 61 62 02', record({ aa: uint(), b: uint() }), /canonical order/],
    ['17 levels', `${'81'.repeat(17)}f6`, anything, /16 levels/],
    ['17 levels of maps', `${'a16161'.repeat(17)}f6`, anything, /16 levels/],
  ];
  for (const [what, hex, schema, reason] of table) {
    const decoded = decode(schema, fromHex(hex), LIMITS);
    t.notOk(decoded.ok, what);
    if (!decoded.ok) t.match(decoded.reason, reason, what);
  }
});

t.test('refused by the schema', async (t) => {
  const pair = record({ a: uint(9), b: nullable(bool) });
  const table: readonly (readonly [string, unknown, Schema<unknown>, RegExp])[] = [
    ['an unknown key', { a: 1, b: null, c: 1 }, pair, /record of a, b/],
    ['a missing key', { a: 1 }, pair, /record of a, b/],
    ['another key', { a: 1, c: null }, pair, /expected the key b/],
    ['too large an integer', { a: 10, b: null }, pair, /0 to 9/],
    ['text for an integer', { a: '1', b: null }, pair, /0 to 9/],
    ['an integer for a boolean', { a: 1, b: 0 }, pair, /true or false/],
    ['null where nothing may be null', { a: null, b: null }, pair, /0 to 9/],
    ['an array for a record', [], pair, /record of/],
    ['a record for an array', {}, numbers, /array/],
    ['too long an array', Array.from({ length: 101 }, () => 0), numbers, /at most 100 items/],
    ['too long a text', 'abcd', text(3), /at most 3 characters/],
    ['too long a text beyond ASCII', '😀😀', text(3), /at most 3 characters/],
    ['too many bytes', new Uint8Array(4), bytes(3), /at most 3 bytes/],
  ];
  for (const [what, value, schema, reason] of table) {
    const decoded = decode(schema, dagCbor.encode(value), LIMITS);
    t.notOk(decoded.ok, what);
    if (!decoded.ok) t.match(decoded.reason, reason, what);
    t.type(refusalOf(schema, value), 'string', `${what}, before encoding`);
  }
  const claims = allSchemas().get('claim') as Schema<unknown>;
  for (const [what, value] of [
    ['an unknown kind', { kind: 'AddEverything' }],
    ['no kind', { a: 1 }],
    ['a kind that is no text', { kind: 1 }],
    ['a property of every object as kind', { kind: 'constructor' }],
    ['a key that reaches for the prototype', JSON.parse('{"kind": "LiftBan", "__proto__": 1}')],
  ] as const) {
    t.notOk(decode(claims, dagCbor.encode(value), LIMITS).ok, what);
  }
});

t.test('limits: bytes before anything else, and items', async (t) => {
  const data = encode(numbers, [1, 2, 3]);
  t.ok(decode(numbers, data, { maxBytes: 4, maxItems: 4 }).ok);
  t.match(decode(numbers, data, { maxBytes: 3 }), { ok: false, reason: /at most 3 bytes/ });
  t.match(decode(numbers, data, { maxBytes: 4, maxItems: 3 }), { ok: false, reason: /at most 3 items/ });
  const nested = record({ a: record({ b: uint() }) });
  t.match(decode(nested, encode(nested, { a: { b: 1 } }), { maxBytes: 99, maxItems: 4 }), { ok: false, reason: /at most 4 items/ });
  t.ok(decode(nested, encode(nested, { a: { b: 1 } }), { maxBytes: 99, maxItems: 5 }).ok, 'keys are items');
});

t.test('16 levels are allowed', async (t) => {
  let schema: Schema<unknown> = nullable(bool);
  let value: unknown = null;
  for (let level = 0; level < 16; level += 1) {
    schema = array(schema, 1);
    value = [value];
  }
  t.same(decode(schema, encode(schema, value), LIMITS), { ok: true, value });
});

t.test('a byte order mark is a character like any other', async (t) => {
  for (const value of ['\ufeff', '\ufeffabc', `${'a'.repeat(40)}\ufeff`, `\ufeff${'é'.repeat(40)}`]) {
    t.same(decode(text(100), encode(text(100), value), LIMITS), { ok: true, value });
  }
});

t.test('what a schema refuses is not encoded', async (t) => {
  t.throws(() => encode(uint(), -1), /0 to/);
  t.throws(() => encode(uint(), -0), /0 to/, 'minus zero');
  t.throws(() => encode(uint(), 1.5), /0 to/);
  t.throws(() => encode(uint(), 2 ** 53), /0 to/);
  t.throws(() => encode(text(10), '\ud800'), /lone surrogates/);
  t.throws(() => encode(text(10), 'a\udc00b'), /lone surrogates/);
  t.throws(
    () => encode(claimList, [sampleArtifact({ files: [{ ...sampleFile(), sizeBytes: -1 }] })]),
    /\[0\] files: \[0\] sizeBytes: expected an integer/,
    'and the message says where',
  );
  const tooMuch = { ...sampleArtifact(), author: 'me' };
  t.throws(() => encode(claimList, [tooMuch]), /expected the keys/, 'a claim has no room for who made it');
});

t.test('decoded byte strings are copies', async (t) => {
  const schema = record({ a: bytes(4) });
  const data = Buffer.from(encode(schema, { a: Uint8Array.of(1, 2, 3, 4) }));
  const decoded = decode(schema, data, LIMITS);
  data.fill(0);
  t.same(decoded, { ok: true, value: { a: Uint8Array.of(1, 2, 3, 4) } });
  if (decoded.ok) t.equal(decoded.value.a.buffer.byteLength, 4, 'and hold nothing else alive');
});

t.test('a full transaction of 256 claims comes back', async (t) => {
  const claims = Array.from({ length: 256 }, (_, index) => sampleArtifact({ coordinates: sampleCoordinates(`1.0.${index}`) }));
  const encoded = encode(claimList, claims);
  t.same(decode(claimList, encoded, LIMITS), { ok: true, value: claims });
});
