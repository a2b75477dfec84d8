// How often a claim is tried: seconds' worth in `npm test`, as long as wanted in `npm run fuzz`.
import fc from 'fast-check'

/** FUZZ multiplies the runs. A failure prints the seed that replays it. */
export function runs(count: number): { numRuns: number } {
  return { numRuns: count * Number(process.env.FUZZ ?? 1) }
}

/** Names that mean something to JavaScript's objects, and others. */
export const memberNames = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then', ''),
  fc.string({ maxLength: 12 }),
)

/** Any JSON value, such names included. */
export const anyJson = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, -1, 1e21, Number.MAX_SAFE_INTEGER, ''),
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .array(fc.tuple(memberNames, tie('value')), { maxLength: 4 })
      .map((members) =>
        JSON.parse(`{${members.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`)}}`),
      ),
  ),
})).value

/** What nothing that was fed to the code may have changed. */
export function isUnpolluted(): boolean {
  const clean: Record<string, unknown> = {}
  return Object.keys(Object.prototype).length === 0 && clean.polluted === undefined
}
