// The answers of an HTTP server to requests that came one after the other: where each ends, and nothing else of them.

/** Of a head, or of a line between chunks; what a server of records says is short. */
const textCharsMax = 64 * 1024

type State = 'head' | 'body' | 'chunk' | 'trailers' | 'endless' | 'whole'

export class AnswerReader {
  #state: State = 'head'
  /** What has come and was not understood yet; each byte one char. */
  #rest = ''
  /** Of a body, or of a chunk and the end of its line. */
  #bytesLeft = 0
  #isChunked = false
  #isLast = false

  /** Whether the server has answered, however much more it says. */
  get isAnswered(): boolean {
    return this.#state !== 'head'
  }

  get isWhole(): boolean {
    return this.#state === 'whole'
  }

  /** Whether another request may follow on the connection. */
  get isKept(): boolean {
    return this.isWhole && !this.#isLast && this.#rest === ''
  }

  /** @throws {Error} for what is no HTTP */
  take(text: string): void {
    this.#rest += text
    while (this.#advance());
    if (this.#rest.length > textCharsMax) throw new Error('the receiver says more than fits an answer')
  }

  /** For the next answer. */
  reset(): void {
    this.#state = 'head'
  }

  /** Whether it got on. */
  #advance(): boolean {
    switch (this.#state) {
      case 'head':
        return this.#readHead()
      case 'body':
        return this.#skip(this.#isChunked ? 'chunk' : 'whole')
      case 'chunk':
        return this.#readSize()
      case 'trailers':
        return this.#readTrailer()
      case 'endless':
        this.#rest = ''
        return false
      case 'whole':
        return false
    }
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n')
    // What speaks another protocol may wait for us to go on.
    if (!/^HTTP\/1\.[01] \d{3}[ \r]/.test(this.#rest) && (end >= 0 || this.#rest.includes('\n')))
      throw new Error('the receiver does not speak HTTP')
    if (end < 0) return false
    const head = this.#rest.slice(0, end + 2)
    this.#rest = this.#rest.slice(end + 4)
    const status = Number(head.slice(9, 12))
    // One that comes before the answer.
    if (status < 200) return true
    this.#isLast = head[7] === '0' || /\r\nconnection:[^\r]*\bclose\b/i.test(head)
    this.#isChunked = /\r\ntransfer-encoding:[^\r]*\bchunked\b/i.test(head)
    const length = /\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n/i.exec(head)?.[1]
    this.#bytesLeft = Number(length ?? 0)
    if (status === 204 || status === 304) this.#state = 'whole'
    else if (this.#isChunked) this.#state = 'chunk'
    else this.#state = length === undefined ? 'endless' : 'body'
    return true
  }

  #skip(next: State): boolean {
    const { length } = this.#rest
    this.#rest = this.#rest.slice(this.#bytesLeft)
    this.#bytesLeft = Math.max(0, this.#bytesLeft - length)
    if (this.#bytesLeft > 0) return false
    this.#state = next
    return true
  }

  #readSize(): boolean {
    const line = this.#takeLine()
    if (line === undefined) return false
    const digits = /^[0-9a-f]{1,12}/i.exec(line)?.[0]
    if (digits === undefined) throw new Error('the receiver does not speak HTTP')
    const size = Number.parseInt(digits, 16)
    this.#bytesLeft = size + '\r\n'.length
    this.#state = size === 0 ? 'trailers' : 'body'
    return true
  }

  #readTrailer(): boolean {
    const line = this.#takeLine()
    if (line === '') this.#state = 'whole'
    return line !== undefined
  }

  #takeLine(): string | undefined {
    const end = this.#rest.indexOf('\r\n')
    if (end < 0) return undefined
    const line = this.#rest.slice(0, end)
    this.#rest = this.#rest.slice(end + 2)
    return line
  }
}
