// What node:http makes of bytes, as strict as the ordinary lane has it: a server that listens nowhere, on connections in
// memory.
import http, { type IncomingMessage, type Server } from 'node:http'
import { Duplex } from 'node:stream'
import { codeOf } from '../../../src/base/errors.ts'
import { hasBody } from '../../../src/proxy/inbound/http-reply.ts'
import { defaultLimits } from '../../../src/proxy/inbound/limits.ts'
import { strictOptions } from '../../../src/proxy/inbound/strictness.ts'

export interface OrdinaryRequest {
  /** Which of the events tells of it: `request` for all but those that expect something, or want another protocol. */
  readonly event: string
  readonly method: string
  readonly target: string
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
  /** Whether the connection could carry another. */
  readonly keepsAlive: boolean
  /** Whether there is one to be read. */
  readonly hasBody: boolean
  /** As far as it has come. */
  readonly body: Buffer
  /** Whether all of it has. */
  readonly isWhole: boolean
}

export interface OrdinaryReading {
  readonly requests: readonly OrdinaryRequest[]
  /** Code and reason of why no more was read; undefined: more might come. */
  readonly error: string | undefined
}

class Memory extends Duplex {
  readonly messages: { event: string; message: IncomingMessage; keepsAlive: boolean }[] = []
  error: string | undefined = undefined

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done()
  }
}

const events = ['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect'] as const

export class OrdinaryParser {
  readonly #server: Server

  constructor() {
    this.#server = http.createServer({ ...strictOptions(defaultLimits), shouldUpgradeCallback: () => true })
    this.#server.maxHeadersCount = 0
    for (const event of events) {
      this.#server.on(event, (message: IncomingMessage, other: { shouldKeepAlive?: boolean }) => {
        message.on('error', () => {})
        const memory = message.socket as unknown as Memory
        memory.messages.push({ event, message, keepsAlive: other.shouldKeepAlive === true })
      })
    }
    this.#server.on('clientError', (error: Error & { reason?: string }, memory) => {
      ;(memory as unknown as Memory).error ??= `${codeOf(error)} ${error.reason ?? ''}`
    })
  }

  /** Each of `streams` as all that comes on a connection of its own. */
  async read(streams: readonly Buffer[]): Promise<OrdinaryReading[]> {
    const all = streams.map((bytes) => {
      const memory = new Memory()
      memory.on('error', () => {})
      this.#server.emit('connection', memory)
      memory.push(bytes)
      return memory
    })
    // All is read by then: nothing but ticks lies between the bytes and their parser.
    await new Promise((resolve) => setImmediate(resolve))
    return all.map((memory) => {
      const requests = memory.messages.map((one) => requestOf(one))
      memory.destroy()
      return { requests, error: memory.error }
    })
  }
}

function requestOf({ event, message, keepsAlive }: Memory['messages'][number]): OrdinaryRequest {
  return {
    event,
    method: message.method as string,
    target: message.url as string,
    httpVersion: message.httpVersion,
    rawHeaders: message.rawHeaders,
    keepsAlive,
    hasBody: hasBody(message),
    body: (message.read() as Buffer | null) ?? Buffer.alloc(0),
    isWhole: message.complete,
  }
}
