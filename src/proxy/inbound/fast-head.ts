// Heads of requests as most clients write them, read from bytes. What is any different is not wrong, it is for the
// ordinary lane to judge: here nothing is ever refused. All that is taken is taken by node:http and by strictness.ts,
// too, and means the same; test/fuzz/lanes.ts looks for one that does not.
import { type Field, fieldIn } from '../field.ts'
import { type FieldName, hashed, kinds, nameIn } from '../field-names.ts'
import { Headers } from '../headers.ts'
import type { HeadBounds } from './limits.ts'
import { isHost } from './strictness.ts'

export interface FastHead {
  readonly method: string
  /** Byte for byte, each of them one char. */
  readonly target: string
  readonly headers: Headers
  /** Of the body that follows; 0: there is none. */
  readonly bodyBytes: number
  /** Whether the client may want more of its connection. */
  readonly keepsAlive: boolean
  /** Of the head itself, with the empty line. */
  readonly bytes: number
}

/** Longer ones go the ordinary lane, where the settings are the bounds. Few clients come near. */
const headBytesMost = 8 * 1024

export class FastHeadReader {
  readonly #bytesMax: number
  /** Of each field of the head in hand where its line begins, its value begins and ends, and its line ends. */
  readonly #places: Int32Array
  /** And its name. */
  readonly #names: FieldName[] = []

  constructor(bounds: HeadBounds) {
    const { headBytesMax, fieldLineBytesMax, requestLineBytesMax, fieldsMax } = bounds
    // What is no longer as a whole than a line may be has no line that is.
    this.#bytesMax = Math.min(headBytesMost, headBytesMax, fieldLineBytesMax, requestLineBytesMax)
    this.#places = new Int32Array(4 * fieldsMax)
  }

  /** The head that begins at `from`; undefined when it is not there as a whole, or is for the ordinary lane. */
  read(bytes: Buffer, from: number): FastHead | undefined {
    const to = Math.min(bytes.length, from + this.#bytesMax)
    const method = methodAt(bytes, from, to)
    if (method === undefined) return undefined
    const targetAt = from + method.length + 1
    const targetEnd = endOf(inTarget, bytes, targetAt, to)
    if (bytes[targetAt] !== slash || !isAt(lineEnd, bytes, targetEnd, to)) return undefined
    const end = this.#locateFields(bytes, targetEnd + lineEnd.length, to)
    if (end < 0) return undefined
    const text = bytes.toString('latin1', from, end)
    const target = text.slice(targetAt - from, targetEnd - from)
    return headOf(method, target, this.#fieldsOf(text, from), end - from)
  }

  /** Where the head ends; -1 when it does not, or has a line that is for the ordinary lane. */
  #locateFields(bytes: Buffer, from: number, to: number): number {
    const places = this.#places
    const names = this.#names
    names.length = 0
    let at = from
    for (let i = 0; at + 1 < to; i += 4) {
      if (bytes[at] === cr) return bytes[at + 1] === lf ? at + 2 : -1
      let nameEnd = at
      let hash = 0
      for (; nameEnd < to && isOf(inName, bytes, nameEnd); nameEnd++)
        hash = hashed(hash, bytes[nameEnd] as number)
      if (i === places.length || nameEnd === at || nameEnd === to || bytes[nameEnd] !== colon) return -1
      const valueAt = endOf(blank, bytes, nameEnd + 1, to)
      const end = endOf(inValue, bytes, valueAt, to)
      if (end + 1 >= to || bytes[end] !== cr || bytes[end + 1] !== lf) return -1
      names.push(nameIn(bytes, at, nameEnd, hash))
      places[i] = at
      places[i + 1] = valueAt
      places[i + 2] = startOfBlanks(bytes, valueAt, end)
      places[i + 3] = end
      at = end + 2
    }
    return -1
  }

  /** @param from  where in the bytes `text` begins */
  #fieldsOf(text: string, from: number): Field[] {
    const places = this.#places
    const fields: Field[] = []
    for (let i = 0; i < this.#names.length; i++) {
      const line = (places[4 * i] as number) - from
      const value = (places[4 * i + 1] as number) - from
      const valueTo = (places[4 * i + 2] as number) - from
      const to = (places[4 * i + 3] as number) - from
      fields.push(fieldIn(text, this.#names[i] as FieldName, line, value, valueTo, to))
    }
    return fields
  }
}

/** Undefined for what is said in more than one way, or asks for more than an answer. */
function headOf(method: string, target: string, fields: Field[], bytes: number): FastHead | undefined {
  let host: string | undefined
  let length: string | undefined
  let connection: string | undefined
  for (const field of fields) {
    const of = field.kinds & looked
    if (of === 0) continue
    if ((of & kinds.ordinary) !== 0) return undefined
    const { value } = field
    if ((of & kinds.host) !== 0) {
      if (host !== undefined || !isHost(value)) return undefined
      host = value
    } else if ((of & kinds.contentLength) !== 0) {
      if (length !== undefined || !lengthPattern.test(value)) return undefined
      length = value
    } else if ((of & kinds.connection) !== 0) {
      if (connection !== undefined) return undefined
      connection = value.toLowerCase()
      if (connection !== 'keep-alive' && connection !== 'close') return undefined
    } else if (value !== '' && !isHost(value)) return undefined
  }
  if (host === undefined) return undefined
  const bodyBytes = length === undefined ? 0 : Number(length)
  const headers = new Headers(fields)
  return { method, target, headers, bodyBytes, keepsAlive: connection !== 'close', bytes }
}

const looked = kinds.ordinary | kinds.host | kinds.contentLength | kinds.connection | kinds.hostOverride

/** Less than what a double holds exactly. */
const lengthPattern = /^\d{1,15}$/

const methods = ['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS'].map((method) => ({
  method,
  bytes: Buffer.from(`${method} `),
}))

function methodAt(bytes: Buffer, from: number, to: number): string | undefined {
  for (const { method, bytes: wanted } of methods) if (isAt(wanted, bytes, from, to)) return method
  return undefined
}

function isAt(wanted: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (from + wanted.length > to) return false
  for (let i = 0; i < wanted.length; i++) if (bytes[from + i] !== wanted[i]) return false
  return true
}

const lineEnd = Buffer.from(' HTTP/1.1\r\n')
const cr = 0x0d
const lf = 0x0a
const slash = 0x2f
const colon = 0x3a

// What a byte may be in.
const inTarget = 1
const inName = 2
const inValue = 4
const blank = 8

const bytesOf = Uint8Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte)
  const isVisible = byte > 0x20 && byte < 0x7f
  return (
    // Where a fragment begins for some, the path goes on for others.
    (isVisible && char !== '#' ? inTarget : 0) |
    (/[\w!#$%&'*+.^`|~-]/.test(char) ? inName : 0) |
    (isVisible || /[\t \x80-\xff]/.test(char) ? inValue : 0) |
    (/[\t ]/.test(char) ? blank : 0)
  )
})

/** Where the first byte is that may not be in it; `to` when there is none. */
function endOf(kind: number, bytes: Buffer, from: number, to: number): number {
  let at = from
  while (at < to && isOf(kind, bytes, at)) at++
  return at
}

function isOf(kind: number, bytes: Buffer, at: number): boolean {
  return ((bytesOf[bytes[at] as number] as number) & kind) !== 0
}

function startOfBlanks(bytes: Buffer, from: number, to: number): number {
  let at = to
  while (at > from && isOf(blank, bytes, at - 1)) at--
  return at
}
