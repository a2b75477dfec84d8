// Messages on a byte stream: four bytes of length, big-endian, then that many bytes of JSON in UTF-8.
import { RpcProtocol } from './errors.ts'

const headerBytes = 4

/**
 * The frame of one message.
 * @param frameBytesMax  bound of the JSON; the other end refuses longer ones
 * @throws {RpcProtocol} when the message is longer, or is not JSON
 */
export function encodeFrame(message: unknown, frameBytesMax: number): Buffer {
  const json = JSON.stringify(message)
  if (json === undefined) throw new RpcProtocol('a message must be a JSON value')
  const length = Buffer.byteLength(json)
  if (length > frameBytesMax) {
    throw new RpcProtocol(`a message of ${length} bytes is longer than the ${frameBytesMax} that are allowed`)
  }
  const frame = Buffer.allocUnsafe(headerBytes + length)
  frame.writeUInt32BE(length)
  frame.write(json, headerBytes)
  return frame
}

/** Cuts a stream of chunks into messages. Holds at most one frame; after it threw it must not be used again. */
export class FrameDecoder {
  readonly #frameBytesMax: number
  /** What came and was not decoded yet, joined only when a whole frame is there: a copy of each byte at most. */
  #chunks: Buffer[] = []
  #bytes = 0
  /** Length of the frame that is coming, once its header is here. */
  #length: number | undefined

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax
  }

  /**
   * Takes the next chunk, of any size.
   * @returns  the messages that it completes, in order, not checked beyond being JSON
   * @throws {RpcProtocol} when a frame is empty, too long or not JSON
   */
  push(chunk: Buffer): unknown[] {
    // Mostly one frame comes as one chunk.
    if (this.#bytes === 0 && this.#length === undefined && isWholeFrame(chunk, this.#frameBytesMax))
      return [parse(chunk, headerBytes)]
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    const messages: unknown[] = []
    for (let body = this.#next(); body !== undefined; body = this.#next()) messages.push(parse(body))
    return messages
  }

  #next(): Buffer | undefined {
    if (this.#length === undefined) {
      if (this.#bytes < headerBytes) return undefined
      const length = this.#take(headerBytes).readUInt32BE()
      if (length === 0 || length > this.#frameBytesMax) {
        throw new RpcProtocol(`expected a frame of 1 to ${this.#frameBytesMax} bytes, got one of ${length}`)
      }
      this.#length = length
    }
    if (this.#bytes < this.#length) return undefined
    const body = this.#take(this.#length)
    this.#length = undefined
    return body
  }

  /** The next `count` bytes, which must be there. */
  #take(count: number): Buffer {
    const taken: Buffer[] = []
    let wanted = count
    let used = 0
    for (; wanted > 0; used++) {
      const chunk = this.#chunks[used] as Buffer
      taken.push(chunk.subarray(0, wanted))
      if (chunk.length > wanted) {
        this.#chunks[used] = chunk.subarray(wanted)
        break
      }
      wanted -= chunk.length
    }
    this.#chunks.splice(0, used)
    this.#bytes -= count
    return taken.length === 1 ? (taken[0] as Buffer) : Buffer.concat(taken)
  }
}

function isWholeFrame(chunk: Buffer, frameBytesMax: number): boolean {
  const length = chunk.length - headerBytes
  return length > 0 && length <= frameBytesMax && chunk.readUInt32BE() === length
}

function parse(bytes: Buffer, start = 0): unknown {
  try {
    return JSON.parse(bytes.toString('utf8', start))
  } catch (cause) {
    throw new RpcProtocol('expected a frame of JSON', cause)
  }
}
