// What one worker counts of each API. Only so many have a place of their own: each is some tens of series, in the memory
// of whoever scrapes them, too. All others are counted together.

import { Histogram } from '../base/histogram.ts'
import { http } from '../base/http.ts'

/** Which APIs have a place: said by one thread, to all that share the memory. */
export class ApiPlaces {
  readonly #revision: Int32Array
  readonly #ids: Buffer
  readonly #count: number
  readonly #places = new Map<string, number>()
  #revisionSeen = -1

  /** @param count  places for single APIs; they are numbered from 1, and 0 is that of all others */
  static bufferFor(count: number): SharedArrayBuffer {
    return new SharedArrayBuffer(revisionBytes + count * idBytes)
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#revision = new Int32Array(buffer, 0, 1)
    this.#ids = Buffer.from(buffer, revisionBytes)
    this.#count = this.#ids.length / idBytes
  }

  /** How many single APIs may have. */
  get count(): number {
    return this.#count
  }

  /** Gives a place to an API, or to none. By one thread only; the others see it before they hear of anything later. */
  give(place: number, id: string | undefined): void {
    this.#ids.fill(0, (place - 1) * idBytes, place * idBytes)
    if (id !== undefined) this.#ids.write(id, (place - 1) * idBytes, idBytes, 'latin1')
    Atomics.add(this.#revision, 0, 1)
  }

  /** Where an API is to be counted. */
  placeOf(id: string): number {
    // Read before the ids are: what changes in between is read again the next time.
    const revision = Atomics.load(this.#revision, 0)
    if (revision !== this.#revisionSeen) this.#read()
    this.#revisionSeen = revision
    return this.#places.get(id) ?? 0
  }

  #read(): void {
    this.#places.clear()
    for (let place = 1; place <= this.#count; place++) {
      const written = this.#ids.toString('latin1', (place - 1) * idBytes, place * idBytes)
      const id = written.replace(/\0+$/, '')
      if (id !== '') this.#places.set(id, place)
    }
  }
}

const revisionBytes = Int32Array.BYTES_PER_ELEMENT
/** Of a UUID. */
const idBytes = 36

/** All that HTTP has, and 499 for clients that were gone. What else upstreams make up is counted together. */
const statuses = [...Object.keys(http.STATUS_CODES).map(Number), 499].sort((a, b) => a - b)
const statusPlaces: ReadonlyMap<number, number> = new Map(statuses.map((status, i) => [status, i]))

/** In ms. Coarser than those of all requests together: each is a series for each API. */
const boundsMs = [1, 5, 10, 50, 100, 500, 1000, 5000, 10_000, 60_000]

export type ApiLatency = 'proxy' | 'upstream'

const latencyLength = Histogram.lengthFor(boundsMs)
// After the statuses, one place for those that are none of these.
const proxyAt = statuses.length + 1
const upstreamAt = proxyAt + latencyLength

/** Numbers that the counts of one API take. */
export const apiCountsLength = upstreamAt + latencyLength

/** What became of the requests of one API, or of several. */
export class ApiCounts {
  readonly #statuses: Float64Array
  readonly #latencies: Readonly<Record<ApiLatency, Histogram>>

  /** @param numbers  `apiCountsLength` of them; one writer only, so no atomics are needed */
  constructor(numbers: Float64Array = new Float64Array(apiCountsLength)) {
    this.#statuses = numbers.subarray(0, proxyAt)
    this.#latencies = {
      proxy: new Histogram(boundsMs, numbers.subarray(proxyAt, upstreamAt)),
      upstream: new Histogram(boundsMs, numbers.subarray(upstreamAt, apiCountsLength)),
    }
  }

  answered(status: number): void {
    const i = statusPlaces.get(status) ?? statuses.length
    this.#statuses[i] = (this.#statuses[i] as number) + 1
  }

  /** How many were answered, by status, those that were. */
  get answers(): ReadonlyMap<number | 'other', number> {
    const counts = [...this.#statuses].map((count, i) => [statuses[i] ?? ('other' as const), count] as const)
    return new Map(counts.filter(([, count]) => count > 0))
  }

  took(latency: ApiLatency, ms: number): void {
    this.#latencies[latency].observe(ms)
  }

  /** In ms. */
  latency(latency: ApiLatency): Histogram {
    return this.#latencies[latency]
  }
}

/** Numbers that a worker takes, with `count` places for single APIs. */
export function apiCountersLength(count: number): number {
  return (count + 1) * apiCountsLength
}

export class ApiCounters {
  readonly #places: ApiPlaces
  readonly #numbers: Float64Array
  readonly #counts: ApiCounts[] = []

  /** @param numbers  `apiCountersLength` of them. Default: counted for nobody */
  constructor(
    places = new ApiPlaces(ApiPlaces.bufferFor(0)),
    numbers: Float64Array = new Float64Array(apiCountersLength(places.count)),
  ) {
    this.#places = places
    this.#numbers = numbers
  }

  /** Where to count a request of the API of that id. */
  of(id: string): ApiCounts {
    const place = this.#places.placeOf(id)
    this.#counts[place] ??= new ApiCounts(countsAt(this.#numbers, place))
    return this.#counts[place]
  }
}

/** The numbers of one place among those of all. */
export function countsAt(numbers: Float64Array, place: number): Float64Array {
  return numbers.subarray(place * apiCountsLength, (place + 1) * apiCountsLength)
}
