// What an upstream says, byte by byte: heads, a body, and where it ends (RFC 9112, 6 and 7). What can be read in two
// ways is not read at all. Does no I/O: bytes are given as they come, and may be split anywhere.

import { type Field, fieldIn, rawOf } from '../field.ts'
import { type FieldName, hashed, kinds, nameIn } from '../field-names.ts'
import { Headers } from '../headers.ts'

/** Who is told what was read, in order. `head` comes once, and `end` only after it. */
export interface AnswerReader {
  /** A head on the way to the answer's (1xx, but 101). */
  informed(status: number, headers: Headers): void
  head(status: number, reason: string, headers: Headers): void
  /** A piece of the body: of `bytes`, which belong to whoever gave them, from `from` to `to`. */
  data(bytes: Buffer, from: number, to: number): void
  /** @param canGoOn  whether another answer may come by the same connection */
  end(trailers: readonly string[], canGoOn: boolean): void
  /**
   * Instead of `head`: from now on the connection speaks another protocol. Nothing more is read here.
   * @param protocol  the value of `Upgrade`
   * @param rest      what came with it of that; as for `data`
   */
  switched(protocol: string, headers: Headers, rest: Buffer): void
}

/** What came is no answer, or more than one. */
export class Malformed extends Error {}

/** An upstream's head may be longer than most: cookies and policies grow. One of 64 KiB costs that while it comes. */
const headBytesMax = 64 * 1024
/** Size and extensions of one chunk. Signatures take some hundred bytes. */
const chunkLineBytesMax = 4096
/** As much is made text at once: of a head most is in it, of the body behind it little. */
const textBytes = 2048

const tab = 0x09
const lineFeed = 0x0a
const carriageReturn = 0x0d
const space = 0x20
const colon = 0x3a
const semicolon = 0x3b

/** By byte: what may stand in a name (RFC 9110, 5.6.2), and in a value or a phrase (5.5). */
const inNames = tableOf((code) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(code)))
const inValues = tableOf((code) => code === tab || (code >= space && code !== 0x7f))

type State =
  /** No request was sent that is not answered. */
  | 'idle'
  | 'head'
  | 'counted'
  | 'until-close'
  | 'chunk-size'
  | 'chunk-extension'
  | 'chunk-size-end'
  | 'chunk'
  | 'chunk-end'
  | 'trailers'
  /** Nothing can be made of what comes. */
  | 'over'

export class ResponseParser {
  #reader: AnswerReader | undefined
  #method = ''
  #state: State = 'idle'
  /** Whether anything came since the request. */
  #isUntouched = true
  /** The beginning of a line that is not complete yet. */
  #partial: Buffer | undefined
  /** Of the head, or of the trailers, in complete lines; of a chunk's line all. */
  #lineBytes = 0
  /** 0 before the status line. */
  #status = 0
  #reason = ''
  #fields: Field[] = []
  #isOld = false
  /** -1: not said. */
  #length = -1
  #coding: string | undefined
  #protocol = ''
  #closes = false
  #keeps = false
  #idleMs = Number.POSITIVE_INFINITY
  /** Of the body, or of the chunk. */
  #left = 0
  /** Whether `#left` has digits yet, and what belongs to the end of a chunk. */
  #seen = 0

  /** Whether nothing came of the answer that is waited for. */
  get isUntouched(): boolean {
    return this.#isUntouched
  }

  /** How long a connection may be kept, as the upstream said last (`Keep-Alive: timeout=`): less than it keeps it. */
  get idleMs(): number {
    return this.#idleMs
  }

  /** A request was sent. @param method  decides whether the answer has a body */
  begin(method: string, reader: AnswerReader): void {
    this.#reader = reader
    this.#method = method
    this.#isUntouched = true
    this.#expectHead()
  }

  /**
   * Reads the first `length` of `bytes`.
   * @throws {Malformed} also for what nobody asked for; nothing more is read then
   */
  read(bytes: Buffer, length: number): void {
    this.#isUntouched = false
    try {
      for (let at = 0; at < length; ) at = this.#step(bytes, at, length)
    } catch (error) {
      this.#state = 'over'
      throw error
    }
  }

  /** Nobody is told anything more. */
  leave(): void {
    this.#reader = undefined
  }

  /** The connection ended. @returns whether that was the end of the answer, too; then `end` was called */
  finish(): boolean {
    if (this.#state !== 'until-close') return false
    this.#end([], false)
    return true
  }

  /** @returns  up to where it has read */
  #step(bytes: Buffer, at: number, length: number): number {
    switch (this.#state) {
      case 'head':
      case 'trailers':
        return this.#readLines(bytes, at, length)
      case 'counted':
        return this.#readCounted(bytes, at, length)
      case 'until-close':
        this.#reader?.data(bytes, at, length)
        return length
      case 'chunk-size':
      case 'chunk-extension':
      case 'chunk-size-end':
        return this.#readChunkLine(bytes, at, length)
      case 'chunk':
        return this.#readChunk(bytes, at, length)
      case 'chunk-end':
        return this.#readChunkEnd(bytes, at)
      case 'idle':
      case 'over':
        throw new Malformed('the upstream sent what nobody asked for')
    }
  }

  #readLines(bytes: Buffer, at: number, length: number): number {
    const end = Math.min(length, at + textBytes)
    const before = this.#partial
    if (before === undefined) {
      const next = this.#scanLines(bytes, at, end)
      return next < 0 ? end : this.#readEmptyLine(bytes, next, length)
    }
    this.#partial = undefined
    const joined = Buffer.concat([before, bytes.subarray(at, end)])
    const next = this.#scanLines(joined, 0, joined.length)
    return next < 0 ? end : this.#readEmptyLine(bytes, at + next - before.length, length)
  }

  /** @returns  where what comes behind the empty line begins; -1: more has to come, and what is read of a line is kept */
  #scanLines(bytes: Buffer, at: number, end: number): number {
    // One text, of which the lines are parts, takes less than a text for each.
    const text = bytes.toString('latin1', at, end)
    let from = at
    for (;;) {
      let nameEnd = from
      let hash = 0
      let to = from
      if (this.#status !== 0) {
        for (; nameEnd < end && inNames[bytes[nameEnd] as number] === 1; nameEnd++)
          hash = hashed(hash, bytes[nameEnd] as number)
        // No blank before the colon, no line that goes on with the one before: both begin with what no name has.
        if (nameEnd < end && nameEnd > from && bytes[nameEnd] !== colon)
          throw new Malformed('a field without a proper name')
        to = nameEnd
      }
      while (to < end && inValues[bytes[to] as number] === 1) to++
      if (to >= end - 1 && (to === end || bytes[to] === carriageReturn)) {
        this.#keepPartial(bytes, from, end)
        return -1
      }
      if (bytes[to] !== carriageReturn || bytes[to + 1] !== lineFeed)
        throw new Malformed('a control character in a head, or a line that ends without CR')
      this.#count(to + 2 - from)
      if (to === from) return to + 2
      if (this.#status === 0) this.#readStatusLine(text.slice(from - at, to - at))
      else {
        if (nameEnd === from || nameEnd === to) throw new Malformed('a field without a proper name')
        this.#readField(bytes, text, at, from, nameIn(bytes, from, nameEnd, hash), to)
      }
      from = to + 2
    }
  }

  #keepPartial(bytes: Buffer, from: number, end: number): void {
    const partial = Buffer.from(bytes.subarray(from, end))
    // What is something else may have no lines at all.
    if (this.#status === 0 && !statusLineBegins(partial.toString('latin1')))
      throw new Malformed('no status line')
    if (this.#lineBytes + partial.length > headBytesMax) this.#count(partial.length)
    if (partial.length > 0) this.#partial = partial
  }

  #count(bytes: number): void {
    this.#lineBytes += bytes
    if (this.#lineBytes > headBytesMax) throw new Malformed(`a head of more than ${headBytesMax} bytes`)
  }

  /** RFC 9112, 4. Some leave out the blank where there is no phrase. */
  #readStatusLine(line: string): void {
    this.#isOld = line.startsWith('HTTP/1.0 ')
    if (!this.#isOld && !line.startsWith('HTTP/1.1 ')) throw new Malformed('no status line')
    let status = 0
    for (let i = 9; i < 12; i++) status = status * 10 + decimalOf(line.charCodeAt(i))
    if (!(status >= 100)) throw new Malformed('no proper status')
    if (line.length > 12 && line.charCodeAt(12) !== space) throw new Malformed('no proper status')
    this.#status = status
    this.#reason = line.slice(13)
  }

  /** @param at  where `text` begins in `bytes` */
  #readField(bytes: Buffer, text: string, at: number, from: number, of: FieldName, to: number): void {
    let valueFrom = from + of.text.length + 1
    let valueTo = to
    while (valueFrom < valueTo && isBlank(bytes[valueFrom] as number)) valueFrom++
    while (valueTo > valueFrom && isBlank(bytes[valueTo - 1] as number)) valueTo--
    const field = fieldIn(text, of, from - at, valueFrom - at, valueTo - at, to - at)
    this.#fields.push(field)
    if ((of.kinds & noticed) !== 0) this.#notice(of.kinds, field.value)
  }

  /** What a field says of where the answer ends. */
  #notice(of: number, value: string): void {
    if ((of & kinds.contentLength) !== 0) this.#noticeLength(value)
    else if ((of & kinds.connection) !== 0) this.#noticeConnection(value)
    else if ((of & kinds.keepAlive) !== 0) this.#noticeKeepAlive(value)
    else if ((of & kinds.transferEncoding) !== 0) this.#noticeCoding(value)
    else this.#protocol = value
  }

  #noticeConnection(value: string): void {
    // As most say.
    if (value === 'keep-alive') {
      this.#keeps = true
      return
    }
    for (const token of value.split(',')) {
      const lower = token.trim().toLowerCase()
      if (lower === 'close') this.#closes = true
      else if (lower === 'keep-alive') this.#keeps = true
    }
  }

  #noticeKeepAlive(value: string): void {
    const seconds = /^timeout=(\d+)/i.exec(value)?.[1]
    if (seconds !== undefined) this.#idleMs = (Number(seconds) - 1) * 1000
  }

  /** Once, in digits: even two that are the same are two framings to somebody. */
  #noticeLength(value: string): void {
    if (this.#state === 'trailers') throw new Malformed('a length in the trailers')
    const length = /^\d+$/.test(value) ? Number(value) : Number.NaN
    if (this.#length >= 0 || !(length <= Number.MAX_SAFE_INTEGER)) throw new Malformed('no proper length')
    this.#length = length
  }

  /** Others than chunks would be lost on the way, and the client would take the body for something else. */
  #noticeCoding(value: string): void {
    if (this.#state === 'trailers') throw new Malformed('a transfer coding in the trailers')
    if (this.#coding !== undefined || value.toLowerCase() !== 'chunked')
      throw new Malformed(`the transfer coding ${value}`)
    this.#coding = value
  }

  /** @param next  where the line behind it begins */
  #readEmptyLine(bytes: Buffer, next: number, length: number): number {
    const status = this.#status
    if (status === 0) throw new Malformed('no status line')
    if (this.#state === 'trailers') {
      this.#end(rawOf(this.#fields), next === length)
      return next
    }
    if (this.#coding !== undefined && this.#length >= 0) throw new Malformed('a length and a transfer coding')
    // HTTP/1.0 knows no chunks: what stands in between may have taken them for the body (RFC 9112, 6.1).
    if (this.#coding !== undefined && this.#isOld) throw new Malformed('a transfer coding in HTTP/1.0')
    if (status === 101) {
      this.#switch(bytes.subarray(next, length))
      return length
    }
    if (status < 200) this.#inform()
    else this.#beginBody(next === length)
    return next
  }

  #inform(): void {
    const status = this.#status
    const headers = new Headers(this.#fields)
    this.#expectHead()
    this.#reader?.informed(status, headers)
  }

  #switch(rest: Buffer): void {
    const reader = this.#reader
    this.#state = 'over'
    this.#reader = undefined
    reader?.switched(this.#protocol, new Headers(this.#fields), rest)
  }

  /** RFC 9112, 6.3. */
  #beginBody(isAll: boolean): void {
    const status = this.#status
    const headers = new Headers(this.#fields)
    const isBodiless = this.#method === 'HEAD' || status === 204 || status === 304
    if (isBodiless || this.#length === 0) this.#state = 'over'
    else if (this.#coding !== undefined) this.#expectChunk()
    else if (this.#length > 0) {
      this.#state = 'counted'
      this.#left = this.#length
    } else this.#state = 'until-close'
    const isOver = this.#state === 'over'
    this.#reader?.head(status, this.#reason, headers)
    if (isOver) this.#end([], isAll)
  }

  #readCounted(bytes: Buffer, at: number, length: number): number {
    const to = Math.min(length, at + this.#left)
    this.#left -= to - at
    this.#reader?.data(bytes, at, to)
    if (this.#left === 0) this.#end([], to === length)
    return to
  }

  #expectChunk(): void {
    this.#state = 'chunk-size'
    this.#left = 0
    this.#seen = 0
    this.#lineBytes = 0
  }

  #readChunkLine(bytes: Buffer, at: number, length: number): number {
    for (let i = at; i < length; i++) {
      const byte = bytes[i] as number
      if (++this.#lineBytes > chunkLineBytesMax) throw new Malformed('the line of a chunk is too long')
      if (this.#state === 'chunk-size') this.#readSize(byte)
      else if (this.#state === 'chunk-size-end') {
        if (byte !== lineFeed) throw new Malformed('the line of a chunk does not end as it should')
        this.#beginChunk()
        return i + 1
      } else if (byte === carriageReturn) this.#state = 'chunk-size-end'
      else if (inValues[byte] !== 1) throw new Malformed('a control character in a chunk extension')
    }
    return length
  }

  #readSize(byte: number): void {
    const digit = digitOf(byte)
    if (digit >= 0) {
      this.#seen++
      this.#left = this.#left * 16 + digit
      if (this.#left > Number.MAX_SAFE_INTEGER) throw new Malformed('a chunk of no size that can be counted')
    } else if (this.#seen === 0) throw new Malformed('a chunk without a size')
    else if (byte === carriageReturn) this.#state = 'chunk-size-end'
    else if (byte === semicolon) this.#state = 'chunk-extension'
    else throw new Malformed('the size of a chunk is no number')
  }

  #beginChunk(): void {
    this.#state = this.#left === 0 ? 'trailers' : 'chunk'
    this.#seen = 0
    this.#lineBytes = 0
    if (this.#left === 0) this.#fields = []
  }

  #readChunk(bytes: Buffer, at: number, length: number): number {
    const to = Math.min(length, at + this.#left)
    this.#left -= to - at
    if (this.#left === 0) this.#state = 'chunk-end'
    this.#reader?.data(bytes, at, to)
    return to
  }

  #readChunkEnd(bytes: Buffer, at: number): number {
    if (bytes[at] !== (this.#seen === 0 ? carriageReturn : lineFeed))
      throw new Malformed('a chunk is longer than it says')
    if (this.#seen === 0) this.#seen = 1
    else this.#expectChunk()
    return at + 1
  }

  #expectHead(): void {
    this.#state = 'head'
    this.#lineBytes = 0
    this.#status = 0
    this.#fields = []
    this.#length = -1
    this.#coding = undefined
    this.#protocol = ''
    this.#closes = false
    this.#keeps = false
    this.#idleMs = Number.POSITIVE_INFINITY
  }

  /** @param isAll  whether nothing came behind it */
  #end(trailers: readonly string[], isAll: boolean): void {
    const reader = this.#reader
    const canGoOn = isAll && this.#state !== 'until-close' && !this.#closes && (!this.#isOld || this.#keeps)
    this.#state = canGoOn ? 'idle' : 'over'
    this.#reader = undefined
    reader?.end(trailers, canGoOn)
  }
}

/** Whether it can still become a status line. */
function statusLineBegins(text: string): boolean {
  const begin = 'HTTP/1.'
  return text.length < begin.length ? begin.startsWith(text) : text.startsWith(begin)
}

function tableOf(test: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (test(code) ? 1 : 0))
}

function isBlank(code: number): boolean {
  return code === space || code === tab
}

const noticed =
  kinds.contentLength | kinds.connection | kinds.keepAlive | kinds.transferEncoding | kinds.upgrade

/** NaN for what is no digit. */
function decimalOf(code: number): number {
  return code >= 0x30 && code <= 0x39 ? code - 0x30 : Number.NaN
}

/** -1 for what is no hexadecimal digit. */
function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
