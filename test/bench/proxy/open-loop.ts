// Asks at a fixed rate, whatever the answers take: each request has a moment at which it is due, and its time counts from then, not
// from when a connection was free for it. So a server that stands still is charged for all whom it kept waiting. A process
// of its own, `node open-loop.ts <plan as JSON>`, so that it can have a core of its own.
import { connect, type Socket } from 'node:net'
import { systemClock } from '../../../src/base/clock.ts'
import { systemRandom } from '../../../src/base/random.ts'

export interface OpenLoopPlan {
  readonly port: number
  readonly path: string
  /** By name. */
  readonly headers: Readonly<Record<string, string>>
  readonly requestsPerS: number
  readonly seconds: number
  /** Connections that are kept; a request that finds none free waits for one. */
  readonly connections: number
}

/** In the order in which they were due. */
export interface OpenLoopResult {
  /** On the clock of systemClock.monotonic(), which processes of one machine share. */
  readonly dueMs: readonly number[]
  /** From then until the whole answer had come. */
  readonly tookMs: readonly number[]
  /** When it was sent: later than it was due if it had to wait for a connection. */
  readonly sentMs: readonly number[]
  /** The number that the answer had as its X-Version; -1 without one. */
  readonly versions: readonly number[]
  /** How late it was seen that a request was due: the fault of this process, not of the server. */
  readonly lateMs: readonly number[]
}

/** Turns that find nothing due sleep that long, so that they leave most of the core to others. The timers of Node are too coarse for it. */
const napMs = 0.05
/** A server that answers nothing for that long has a fault. */
const patienceMs = 30_000

class OpenLoop {
  readonly #request: string
  readonly #plan: OpenLoopPlan
  readonly #free: Connection[] = []
  /** Those due that wait for a connection, by their number. */
  readonly #waiting: number[] = []
  readonly #dueMs: number[] = []
  readonly #tookMs: number[] = []
  readonly #lateMs: number[] = []
  readonly #sentMs: number[] = []
  readonly #versions: number[] = []
  readonly #nap = new Int32Array(new SharedArrayBuffer(4))
  #answered = 0

  constructor(plan: OpenLoopPlan) {
    this.#plan = plan
    const fields = Object.entries({ Host: `127.0.0.1:${plan.port}`, ...plan.headers })
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`)
    this.#request = `GET ${plan.path} HTTP/1.1\r\n${lines.join('')}\r\n`
  }

  async run(): Promise<OpenLoopResult> {
    const { connections, port, requestsPerS, seconds } = this.#plan
    const opened = Array.from({ length: connections }, () => new Connection(port, this.#settle))
    await Promise.all(opened.map((connection) => connection.opened))
    this.#free.push(...opened)
    const startMs = systemClock.monotonic()
    const endMs = startMs + seconds * 1000
    let nextMs = startMs
    for (let nowMs = startMs; nextMs < endMs || this.#answered < this.#dueMs.length; ) {
      for (; nextMs <= nowMs && nextMs < endMs; nextMs += gapMs(requestsPerS)) {
        this.#lateMs.push(nowMs - nextMs)
        this.#waiting.push(this.#dueMs.push(nextMs) - 1)
      }
      this.#send()
      if (nowMs > endMs + patienceMs)
        throw new Error(`${this.#dueMs.length - this.#answered} requests were not answered`)
      if (nextMs - systemClock.monotonic() > napMs) Atomics.wait(this.#nap, 0, 0, napMs)
      await turn()
      nowMs = systemClock.monotonic()
    }
    for (const connection of opened) connection.close()
    return {
      dueMs: this.#dueMs,
      tookMs: this.#tookMs,
      sentMs: this.#sentMs,
      versions: this.#versions,
      lateMs: this.#lateMs,
    }
  }

  /** Those that are due, as far as there are connections; the one that has been free the longest first. */
  #send(): void {
    const count = Math.min(this.#waiting.length, this.#free.length)
    const connections = this.#free.splice(0, count)
    for (const [i, number] of this.#waiting.splice(0, count).entries()) {
      this.#sentMs[number] = systemClock.monotonic()
      connections[i]?.ask(number, this.#request)
    }
  }

  readonly #settle = (number: number, connection: Connection): void => {
    this.#tookMs[number] = systemClock.monotonic() - (this.#dueMs[number] as number)
    this.#versions[number] = connection.version
    this.#answered++
    this.#free.push(connection)
  }
}

/** Clients that know nothing of each other: the gaps are exponentially distributed. */
function gapMs(requestsPerS: number): number {
  return (-Math.log(1 - systemRandom.fraction()) * 1000) / requestsPerS
}

/** Lets sockets say what has come. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

const headEnd = '\r\n\r\n'

/** One connection with one request at a time. Understands answers with 200 and a Content-Length, and throws at others. */
class Connection {
  readonly opened: Promise<void>
  /** Of the newest answer. */
  version = -1
  readonly #socket: Socket
  #number = -1
  #head = ''
  /** Of the body; undefined as long as the head is not complete. */
  #missing: number | undefined

  constructor(port: number, settle: (number: number, connection: Connection) => void) {
    const buffer = Buffer.allocUnsafe(65_536)
    const hear = (length: number) => {
      if (this.#take(buffer, length)) settle(this.#number, this)
      return true
    }
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer, callback: hear } })
    this.opened = new Promise((resolve) => this.#socket.once('connect', resolve))
    this.#socket.once('close', this.#refuse)
  }

  ask(number: number, request: string): void {
    this.#number = number
    this.#socket.write(request, 'latin1')
  }

  close(): void {
    this.#socket.off('close', this.#refuse).destroy()
  }

  readonly #refuse = (): void => {
    throw new Error('the server closed a connection')
  }

  /** True when the answer is complete. */
  #take(bytes: Buffer, length: number): boolean {
    let body = length
    if (this.#missing === undefined) {
      this.#head += bytes.toString('latin1', 0, length)
      const end = this.#head.indexOf(headEnd)
      if (end < 0) return false
      const size = /\r\ncontent-length: *(\d+)/i.exec(this.#head)?.[1]
      if (!this.#head.startsWith('HTTP/1.1 200 ') || size === undefined)
        throw new Error(`expected 200 and a Content-Length, got\n${this.#head.slice(0, end)}`)
      this.version = Number(/\r\nx-version: *(\d+)/i.exec(this.#head)?.[1] ?? -1)
      this.#missing = Number(size)
      body = this.#head.length - end - headEnd.length
      this.#head = ''
    }
    this.#missing -= body
    if (this.#missing > 0) return false
    this.#missing = undefined
    return true
  }
}

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] as string) as OpenLoopPlan
  const result = await new OpenLoop(plan).run()
  process.stdout.write(
    JSON.stringify(result, (_, value) => (typeof value === 'number' ? rounded(value) : value)),
  )
}

/** Microseconds do. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
