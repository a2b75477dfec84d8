// What the lane of HTTP/2 makes of requests, said frame by frame on connections in memory.
import type { Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { systemClock } from '../../../src/base/clock.ts'
import { Counters, counterCount } from '../../../src/proxy/counters.ts'
import { Headers } from '../../../src/proxy/headers.ts'
import { Http2Lane } from '../../../src/proxy/inbound/http2-lane.ts'
import type { Reply } from '../../../src/proxy/inbound/inbound.ts'
import { defaultLimits } from '../../../src/proxy/inbound/limits.ts'
import type { Incoming } from '../../../src/proxy/request.ts'
import { endHeaders, endStream, FrameClient, fields, frame } from '../../support/http2-frames.ts'

/** A request as it is said. */
export interface Http2Form {
  /** Names and values in turn, in this order. */
  readonly fields: readonly string[]
  /** Null: the head is all. */
  readonly body: Buffer | null
}

/** What came of it. */
export interface Http2Reading {
  /** Undefined: nothing was passed on. */
  readonly request: Http2Request | undefined
  /** As `FrameClient.fate`. */
  readonly fate: string
}

export interface Http2Request {
  readonly method: string
  readonly target: string
  readonly rawHeaders: readonly string[]
  readonly hasBody: boolean
  /** Undefined unless all of it has come. */
  readonly body: Buffer | undefined
}

/** More would be taken for a flood: 100 frames that are not as they have to be end a connection. */
const resetsMax = 50
/** Longer heads go on in other frames. */
const frameBytes = 16_384

interface Line {
  readonly client: FrameClient
  /** Of the request after this. */
  stream: number
  resets: number
  close(): void
}

export class Http2Reader {
  /** Each has one request at a time, and a number by which that is known. */
  readonly #lines: Line[] = []
  readonly #made = new Map<number, Http2Request>()
  readonly #lane = new Http2Lane({
    clock: systemClock,
    limits: defaultLimits,
    counters: new Counters(new Float64Array(counterCount)),
    handler: (incoming, reply) => this.#take(incoming, reply),
    product: 'troop/1.2.3',
    refused() {},
  })

  /** All at once. */
  read(forms: readonly Http2Form[]): Promise<Http2Reading[]> {
    return Promise.all(forms.map((form, number) => this.#read(form, number)))
  }

  close(): void {
    for (const line of this.#lines.splice(0)) line.close()
  }

  async #read(form: Http2Form, number: number): Promise<Http2Reading> {
    const line = await this.#line(number)
    const { client, stream } = line
    line.stream += 2
    this.#made.delete(number)
    client.frames.length = 0
    client.send(...framesOf(form, stream))
    const fate = await client.fate(stream)
    if (fate !== 'answered') line.resets++
    if (fate !== 'answered' && !fate.startsWith('reset')) line.resets = resetsMax
    return { request: this.#made.get(number), fate }
  }

  async #line(number: number): Promise<Line> {
    const before = this.#lines[number]
    if (before && before.resets < resetsMax) return before
    before?.close()
    const [near, far] = duplexPair()
    this.#lane.take(Object.assign(far, { localPort: number }) as unknown as Socket)
    const line: Line = {
      client: await FrameClient.over(near),
      ...{ stream: 1, resets: 0 },
      close() {
        near.destroy()
        far.destroy()
      },
    }
    this.#lines[number] = line
    return line
  }

  #take({ method, target, headers, body, localPort }: Incoming, reply: Reply): void {
    const request = { method, target, rawHeaders: headers.raw(), hasBody: body !== null }
    this.#made.set(localPort, { ...request, body: body ? undefined : Buffer.alloc(0) })
    const answer = () => {
      reply.head(200, undefined, new Headers())
      reply.end()
    }
    if (!body) {
      answer()
      return
    }
    const chunks: Buffer[] = []
    body.on('data', (chunk: Buffer) => chunks.push(chunk))
    body.on('end', () => {
      this.#made.set(localPort, { ...request, body: Buffer.concat(chunks) })
      answer()
    })
  }
}

function framesOf({ fields: raw, body }: Http2Form, stream: number): Buffer[] {
  const block = fields(raw)
  const last = Math.floor((block.length - 1) / frameBytes)
  const heads = Array.from({ length: last + 1 }, (_, i) => {
    const flags = (i === last ? endHeaders : 0) | (i === 0 && !body ? endStream : 0)
    const part = block.subarray(i * frameBytes, (i + 1) * frameBytes)
    return frame(i === 0 ? 'headers' : 'continuation', flags, stream, part)
  })
  return body ? [...heads, frame('data', endStream, stream, body)] : heads
}
