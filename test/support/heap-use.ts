// Run by itself with --expose-gc: what entries of several kinds take of the heap, beside what the cache estimates, as JSON.
import type { Json } from '../../src/base/json.ts'
import { Cache } from '../../src/cache/cache.ts'

/** Bytes an entry. */
export interface HeapUse {
  readonly kind: string
  /** How the value came to be: read by the agent, or sent to a worker. */
  readonly made: 'parsed' | 'cloned'
  readonly real: number
  readonly estimated: number
}

const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const common = (n: number) => ({ id: id(n), created_at: 1.7e12 + n })
const credential = (n: number) => ({
  ...common(n),
  key: `key ${n} of thirty-two characters`,
  consumer_id: id(n),
})
const plugin = (n: number, config: Json): Json => {
  const ids = { name: 'rate-limiting', api_id: id(n), consumer_id: null, enabled: true }
  return { ...common(n), ...ids, config }
}
const small = { second: 5, hour: null, policy: 'local', names: ['a', 'b'] }
/** 100 kB of it. */
const big = (n: number): Json => ({
  add: Array.from({ length: 1000 }, (_, i) => `x-header-${n}-${i}: ${'v'.repeat(i % 150)}`),
  rules: Array.from({ length: 100 }, (_, i) => ({
    name: `n${i}`,
    at: i * 1.5,
    on: true,
    regex: `^/${i}${'y'.repeat(i)}`,
  })),
})

const kinds: Readonly<
  Record<string, readonly [count: number, make: (n: number) => [key: string, value: Json]]>
> = {
  credentials: [48_000, (n) => [`keyauth_credentials:key ${n} of thirty-two characters`, credential(n)]],
  consumers: [
    48_000,
    (n) => [`consumers:${id(n)}`, { ...common(n), username: `user ${n}`, custom_id: null }],
  ],
  'names that are not Latin': [
    24_000,
    (n) => [`consumers:${id(n)}`, { ...common(n), username: `利用者 ${n}`.repeat(9) }],
  ],
  absences: [48_000, (n) => [`keyauth_credentials:key ${n} of thirty-two characters`, null]],
  'empty lists': [48_000, (n) => [`plugins:${id(n)}`, []]],
  'lists of three plugins': [12_000, (n) => [`plugins:${id(n)}`, [0, 1, 2].map((i) => plugin(n + i, small))]],
  'plugins of 100 kB': [100, (n) => [`plugins:${id(n)}`, [plugin(n, big(n))]]],
}

function measure(kind: string, made: HeapUse['made']): HeapUse {
  const [count, make] = kinds[kind] as (typeof kinds)[string]
  const cache = new Cache<Json>({ maxBytes: Number.MAX_SAFE_INTEGER })
  const before = usedBytes()
  for (let n = 0; n < count; n++) {
    const [key, value] = make(n)
    const parsed = JSON.parse(JSON.stringify(value))
    const floor = cache.floors.open(key, n)
    cache.fill(key, made === 'parsed' ? parsed : structuredClone(parsed), n, floor)
    cache.floors.close(key, floor)
  }
  const real = usedBytes() - before
  return { kind, made, real: real / count, estimated: cache.counters.bytes / count }
}

function usedBytes(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const uses: HeapUse[] = []
for (const kind of Object.keys(kinds))
  for (const made of ['parsed', 'cloned'] as const) uses.push(measure(kind, made))
process.stdout.write(JSON.stringify(uses))
