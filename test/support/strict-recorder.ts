// An upstream that takes nothing on trust: it keeps every byte, and reads it by the strictest words of RFC 9112. What
// does not fit these is a fault of whoever sent it.
import net, { type AddressInfo, type Socket } from 'node:net'

/** One request as it arrived. */
export interface Recorded {
  /** Method and target. */
  readonly line: string
  /** As sent, each `Name: value`. */
  readonly fields: readonly string[]
  readonly body: string
  /** Whether all of it came before the connection ended. */
  readonly whole: boolean
}

export class StrictRecorder {
  /** What broke a rule, in words. */
  readonly faults: string[] = []
  #recorded: Recorded[] = []
  readonly #connections = new Set<Connection>()
  readonly #server = net.createServer((socket) => this.#accept(socket))
  #changed: (() => void)[] = []

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return this
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** What came since this was last asked, once nothing is under way. */
  async take(): Promise<Recorded[]> {
    while ([...this.#connections].some(({ isIdle }) => !isIdle)) {
      await new Promise<void>((resolve) => this.#changed.push(resolve))
    }
    return this.#recorded.splice(0)
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const { socket } of this.#connections) socket.destroy()
    await closed
  }

  #accept(socket: Socket): void {
    const connection = new Connection(socket)
    this.#connections.add(connection)
    const look = () => {
      for (const request of connection.read(this.faults)) {
        this.#recorded.push(request)
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }
      for (const resolve of this.#changed.splice(0)) resolve()
    }
    socket.on('data', (chunk) => {
      connection.unread += chunk.toString('latin1')
      look()
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      this.#connections.delete(connection)
      if (connection.unread !== '') this.#recorded.push(broken(connection.unread))
      look()
    })
  }
}

class Connection {
  unread = ''
  readonly socket: Socket
  #isBroken = false

  constructor(socket: Socket) {
    this.socket = socket
  }

  get isIdle(): boolean {
    return this.unread === '' || this.#isBroken
  }

  /** Takes whole requests off what was not read yet. */
  *read(faults: string[]): Generator<Recorded> {
    while (this.unread !== '' && !this.#isBroken) {
      try {
        const request = parse(this.unread)
        if (!request) return
        this.unread = this.unread.slice(request.length)
        yield request.recorded
      } catch (error) {
        this.#isBroken = true
        faults.push(`${(error as Error).message}: ${JSON.stringify(this.unread.slice(0, 300))}`)
      }
    }
  }
}

const field =
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]+: (?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/

/**
 * The first request in `bytes`; undefined while it is not complete.
 * @throws {Error} for what is none, or could be read in two ways
 */
function parse(bytes: string): { recorded: Recorded; length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [start = '', ...fields] = bytes.slice(0, end).split('\r\n')
  const line = /^([A-Z]+(?:-[A-Z]+)*) (\/[\x21\x22\x24-\x7e\x80-\xff]*) HTTP\/1\.1$/.exec(start)
  if (!line) throw new Error('no request line')
  for (const text of fields) if (!field.test(text)) throw new Error(`no field: ${text}`)
  if (valuesOf(fields, 'host').length !== 1) throw new Error('not one Host')
  const framed = bodyOf(bytes.slice(end + 4), fields)
  if (!framed) return undefined
  const recorded = { line: `${line[1]} ${line[2]}`, fields, body: framed.body, whole: true }
  return { recorded, length: end + 4 + framed.length }
}

function bodyOf(rest: string, fields: readonly string[]): { body: string; length: number } | undefined {
  const lengths = valuesOf(fields, 'content-length')
  const codings = valuesOf(fields, 'transfer-encoding')
  if (lengths.length + codings.length > 1) throw new Error('framed more than once')
  if (codings.length > 0) {
    if (codings[0] !== 'chunked') throw new Error(`coding ${codings[0]}`)
    return chunksOf(rest)
  }
  const [text = '0'] = lengths
  if (!/^(?:0|[1-9]\d{0,14})$/.test(text)) throw new Error(`length ${text}`)
  const length = Number(text)
  return rest.length < length ? undefined : { body: rest.slice(0, length), length }
}

function chunksOf(rest: string): { body: string; length: number } | undefined {
  let body = ''
  let at = 0
  for (;;) {
    const eol = rest.indexOf('\r\n', at)
    if (eol < 0) return undefined
    const text = rest.slice(at, eol)
    if (!/^[0-9a-f]{1,8}$/i.test(text)) throw new Error(`chunk size ${text}`)
    const size = Number.parseInt(text, 16)
    at = eol + 2
    if (size === 0) break
    if (rest.length < at + size + 2) return undefined
    body += rest.slice(at, at + size)
    if (rest.slice(at + size, at + size + 2) !== '\r\n') throw new Error('a chunk without its end')
    at += size + 2
  }
  for (;;) {
    const eol = rest.indexOf('\r\n', at)
    if (eol < 0) return undefined
    const text = rest.slice(at, eol)
    at = eol + 2
    if (text === '') return { body, length: at }
    if (!field.test(text)) throw new Error(`no trailer: ${text}`)
  }
}

export function valuesOf(fields: readonly string[], name: string): string[] {
  return fields
    .filter((text) => text.toLowerCase().startsWith(`${name}:`))
    .map((text) => text.slice(name.length + 1).trim())
}

/** What the connection ended in the middle of. */
function broken(bytes: string): Recorded {
  const [head = '', ...body] = bytes.split('\r\n\r\n')
  const [start = '', ...fields] = head.split('\r\n')
  return { line: start.replace(/ HTTP\/1\.1$/, ''), fields, body: body.join('\r\n\r\n'), whole: false }
}
