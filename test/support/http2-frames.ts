// HTTP/2 as frames, for what a well-behaved client can't say (RFC 9113, 4 and 6; fields by RFC 7541, none compressed).
import type { Duplex } from 'node:stream'
import { connectTls } from './raw-http.ts'

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export const types = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const
export const endStream = 1
export const endHeaders = 4

export function frame(type: keyof typeof types, flags: number, stream: number, payload: Uint8Array = none) {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = types[type]
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** @param raw  names and values in turn */
export function fields(raw: readonly string[]): Buffer {
  const parts: Buffer[] = []
  for (let i = 0; i < raw.length; i += 2) {
    // A literal that is not kept, with a name of its own (RFC 7541, 6.2.2).
    parts.push(Buffer.of(0), text(raw[i] as string), text(raw[i + 1] as string))
  }
  return Buffer.concat(parts)
}

/** The head of a request, as a frame; each of `more` in turn. */
export function request(stream: number, more: readonly string[] = [], flags = endStream | endHeaders) {
  return frame('headers', flags, stream, fields([...plain, ...more]))
}

export const plain = [':method', 'GET', ':scheme', 'https', ':path', '/', ':authority', 'test']

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const none = new Uint8Array()
const preface = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('000000040000000000', 'hex'),
])

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  // Lengths from 127 on are said in pieces of seven bits (RFC 7541, 5.1).
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes])
  const length = [127]
  let rest = bytes.length - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128)
  return Buffer.concat([Buffer.from([...length, rest]), bytes])
}

/** A client that says what it is told to. */
export class FrameClient {
  readonly frames: Frame[] = []
  readonly #socket: Duplex
  #rest = Buffer.alloc(0)
  #isClosed = false
  #waiting: (() => void)[] = []

  private constructor(socket: Duplex) {
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('data', (chunk) => this.#take(chunk))
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake()
    })
  }

  /** Past the preface and both sides' settings. */
  static async connect(port: number): Promise<FrameClient> {
    return FrameClient.over(await connectTls(port, { ALPNProtocols: ['h2'] }))
  }

  /** The same on a connection that there is. */
  static async over(socket: Duplex): Promise<FrameClient> {
    const client = new FrameClient(socket)
    client.send(preface)
    await client.until(({ type }) => type === types.settings)
    client.send(frame('settings', 1, 0))
    return client
  }

  send(...frames: readonly Buffer[]): void {
    if (!this.#isClosed) this.#socket.write(Buffer.concat(frames))
  }

  /** Says no more, and goes on listening. */
  end(): void {
    this.#socket.end()
  }

  close(): void {
    this.#socket.destroy()
  }

  /** The first that is as asked for; undefined when the connection closed without. */
  async until(isIt: (frame: Frame) => boolean): Promise<Frame | undefined> {
    for (;;) {
      const found = this.frames.find(isIt)
      if (found || this.#isClosed) return found
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** What became of a stream: the status of its answer, the code of its reset, or that of the connection's end. */
  async fate(stream: number): Promise<string> {
    const end = await this.until(
      (frame) =>
        frame.type === types.goaway ||
        (frame.stream === stream && (frame.type === types.reset || (frame.flags & endStream) !== 0)),
    )
    if (!end) return 'closed'
    if (end.type === types.goaway) return `goaway ${end.payload.readUInt32BE(4)}`
    if (end.type === types.reset) return `reset ${end.payload.readUInt32BE(0)}`
    return 'answered'
  }

  #take(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < end) break
      this.frames.push({
        type: this.#rest[3] as number,
        flags: this.#rest[4] as number,
        stream: this.#rest.readUInt32BE(5) & 0x7fffffff,
        payload: this.#rest.subarray(9, end),
      })
      this.#rest = this.#rest.subarray(end)
    }
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
