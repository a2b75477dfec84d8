// A request through the gateway of a worker, and what came of it in one word.
import { Headers } from '../../src/proxy/headers.ts'
import { nobody, type Reply } from '../../src/proxy/inbound/inbound.ts'
import type { Outbound } from '../../src/proxy/outbound/outbound.ts'
import type { Gateway } from '../../src/proxy/proxy.ts'
import type { Incoming } from '../../src/proxy/request.ts'

export interface Question {
  readonly path: string
  /** The API key that it carries. */
  readonly key: string | undefined
  /** `X-Troop-Min-Position`. */
  readonly minPosition: number | undefined
  /** Path and key, as one text. */
  readonly text: string
}

export function questionOf(path: string, key: string | undefined, minPosition?: number): Question {
  return { path, key, minPosition, text: `${path} ${key}` }
}

/** Whom all requests come from. */
export const clientAddress = '10.9.9.9'

/** Upstreams that answer at once, with where they are and as whom they were asked. */
export const upstreams: Outbound = {
  send({ upstream: { host }, headers }, receiver) {
    const consumer = headers.get('x-consumer-id') ?? 'nobody'
    let isAborted = false
    // Nothing is to be called before `send` has returned.
    queueMicrotask(() => {
      if (isAborted) return
      receiver.head(200, 'OK', Headers.from(['X-Went', `${host} ${consumer}`]))
      receiver.end([])
    })
    return {
      bodyBytes: 0,
      resume() {},
      abort() {
        isAborted = true
      },
    }
  },
  stop() {},
}

/** `told` is called once, with `200 <upstream> <consumer>`, or the status alone. */
export function sendTo(
  gateway: Gateway,
  { path, key, minPosition }: Question,
  receivedAt: number,
  told: (answer: string) => void,
): void {
  const rawHeaders = ['Host', 'simulated']
  if (key !== undefined) rawHeaders.push('apikey', key)
  if (minPosition !== undefined) rawHeaders.push('X-Troop-Min-Position', String(minPosition))
  const reply = new Ear(told)
  const headers = Headers.from(rawHeaders)
  const incoming: Incoming = {
    ...{ method: 'GET', target: path, httpVersion: '1.1', headers, body: null, trailers: () => [] },
    ...{ remoteAddress: clientAddress, localPort: 8000, encrypted: false, upgrade: null, receivedAt },
  }
  gateway.handle(incoming, reply)
}

/** Hears a reply and keeps its head. */
class Ear implements Reply {
  watcher = nobody
  open = true
  bytesSent = 0
  readonly #told: (answer: string) => void
  #answer = ''

  constructor(told: (answer: string) => void) {
    this.#told = told
  }

  inform(): void {}

  head(status: number, _reason: string | undefined, headers: Headers): void {
    const went = headers.get('x-went')
    this.#answer = went === undefined ? String(status) : `${status} ${went}`
  }

  write(): boolean {
    return true
  }

  end(): void {
    this.open = false
    this.watcher.closed(true)
    this.#told(this.#answer)
  }

  switchTo(): undefined {
    return undefined
  }

  cut(): void {
    this.open = false
    this.watcher.closed(false)
    this.#told('cut')
  }
}
