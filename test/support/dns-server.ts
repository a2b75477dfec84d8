// A name server on UDP that answers what a test tells it to, and counts what it was asked.
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'

export interface DnsAnswer {
  /** IPv4 and IPv6; a question gets those of its kind. */
  readonly addresses: readonly string[]
  readonly ttlSeconds: number
}

const types = { 1: 'A', 28: 'AAAA' } as const
const codes = { 'no such name': 3, 'server failure': 2, refused: 5 } as const

export class DnsServer {
  /** By name in lower case; a name that is not here does not exist. `silence`: no answer at all. */
  readonly names = new Map<string, DnsAnswer | keyof typeof codes | 'silence'>()
  /** `A name`, in the order in which they came. */
  readonly asked: string[] = []
  readonly #socket: Socket = createSocket('udp4')

  async start(): Promise<this> {
    this.#socket.on('message', (message, { address, port }) => {
      const reply = this.#answer(message)
      if (reply) this.#socket.send(reply, port, address)
    })
    this.#socket.bind(0, '127.0.0.1')
    await once(this.#socket, 'listening')
    return this
  }

  /** As a resolver takes it. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`
  }

  async stop(): Promise<void> {
    this.#socket.close()
    await once(this.#socket, 'close')
  }

  /** RFC 1035, 4.1: the head and the question as they came, then the answers. */
  #answer(message: Buffer): Buffer | undefined {
    const { name, end } = readName(message)
    const type = message.readUInt16BE(end)
    this.asked.push(`${types[type as keyof typeof types] ?? type} ${name}`)
    const known = this.names.get(name) ?? 'no such name'
    if (known === 'silence') return undefined
    const records = typeof known === 'string' ? [] : recordsOf(known, type)
    const head = Buffer.alloc(12)
    message.copy(head, 0, 0, 2)
    // A reply, with recursion desired and available.
    head.writeUInt16BE(0x8180 | (typeof known === 'string' ? codes[known] : 0), 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    return Buffer.concat([head, message.subarray(12, end + 4), ...records])
  }
}

function readName(message: Buffer): { name: string; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = message[at] as number; length > 0; length = message[at] as number) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 }
}

function recordsOf({ addresses, ttlSeconds }: DnsAnswer, type: number): Buffer[] {
  return addresses
    .filter((address) => (isIPv4(address) ? 1 : 28) === type)
    .map((address) => {
      const data = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : bytesOfIPv6(address)
      const head = Buffer.alloc(12)
      // The name is that of the question.
      head.writeUInt16BE(0xc00c, 0)
      head.writeUInt16BE(type, 2)
      head.writeUInt16BE(1, 4)
      head.writeUInt32BE(ttlSeconds, 6)
      head.writeUInt16BE(data.length, 10)
      return Buffer.concat([head, data])
    })
}

function bytesOfIPv6(address: string): Buffer {
  const [left = '', right] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [before, after] = [groups(left), groups(right ?? '')]
  const all = [...before, ...Array(8 - before.length - after.length).fill('0'), ...after]
  return Buffer.from(
    all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]),
  )
}
