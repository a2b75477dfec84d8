// The parts of a multipart/form-data body (RFC 7578), byte for byte: text of which each character is a byte.
import type { Editable } from './edits.ts'

interface Part {
  readonly name: string | undefined
  /** Head and content, from the line break after the boundary on. */
  readonly source: string
}

export class Multipart implements Editable {
  readonly #boundary: string
  readonly #preamble: string
  #parts: Part[]
  readonly #epilogue: string
  #isChanged = false

  private constructor(boundary: string, preamble: string, parts: Part[], epilogue: string) {
    this.#boundary = boundary
    this.#preamble = preamble
    this.#parts = parts
    this.#epilogue = epilogue
  }

  /** Undefined for what is none. Nothing at all counts as a body without parts. */
  static parse(body: Buffer, contentType: string): Multipart | undefined {
    const boundary = boundaryOf(contentType)
    if (boundary === undefined) return undefined
    if (body.length === 0) return new Multipart(boundary, '', [], '\r\n')
    // As if a line came before, so that the first boundary is like any other.
    const pieces = piecesOf(`\r\n${body.toString('latin1')}`, boundary)
    const last = pieces.findIndex((piece) => piece.startsWith('--'))
    if (last < 1) return undefined
    const parts = pieces.slice(1, last).map((source) => ({ name: nameOf(source), source }))
    const epilogue = pieces.slice(last).join(`\r\n--${boundary}`).slice(2)
    return new Multipart(boundary, (pieces[0] as string).slice(2), parts, epilogue)
  }

  /** The contents of the parts that have the name, as text. */
  values(name: string): string[] {
    return this.#parts.filter((part) => part.name === name).map(({ source }) => contentOf(source))
  }

  has(name: string): boolean {
    return this.#parts.some((part) => part.name === name)
  }

  set(name: string, value: string): void {
    const at = this.#parts.findIndex((part) => part.name === name)
    const rest = this.#parts.filter((part) => part.name !== name)
    this.#parts = rest.toSpliced(at < 0 ? rest.length : at, 0, { name, source: sourceOf(name, value) })
    this.#isChanged = true
  }

  /** As in 0.8. */
  append(): void {}

  remove(name: string): void {
    if (!this.has(name)) return
    this.#parts = this.#parts.filter((part) => part.name !== name)
    this.#isChanged = true
  }

  /** Undefined where nothing was changed. */
  bytes(): Buffer | undefined {
    if (!this.#isChanged) return undefined
    const delimiter = `--${this.#boundary}`
    const parts = this.#parts.map(({ source }) => `${delimiter}${source}\r\n`)
    const preamble = this.#preamble === '' ? '' : `${this.#preamble}\r\n`
    return Buffer.from(`${preamble}${parts.join('')}${delimiter}--${this.#epilogue}`, 'latin1')
  }
}

function boundaryOf(contentType: string): string | undefined {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]+)"|([^;\s"]+))/i.exec(contentType) ?? []
  return quoted ?? plain
}

/** What stands between boundaries; a line that only begins like one is content. */
function piecesOf(text: string, boundary: string): string[] {
  const delimiter = `\r\n--${boundary}`
  const pieces: string[] = []
  for (const piece of text.split(delimiter)) {
    if (pieces.length === 0 || /^(?:--|[ \t]*\r\n)/.test(piece)) pieces.push(piece)
    else pieces.push(`${pieces.pop()}${delimiter}${piece}`)
  }
  return pieces
}

/** RFC 7578, 4.2: each part has `Content-Disposition: form-data; name="…"`. */
function nameOf(source: string): string | undefined {
  const head = source.slice(0, source.indexOf('\r\n\r\n'))
  const line = head.split('\r\n').find((field) => /^content-disposition:/i.test(field)) ?? ''
  const [, quoted, plain] = /;\s*name=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^;\s"]+))/i.exec(line) ?? []
  const name = quoted?.replaceAll(/\\(["\\])/g, '$1') ?? plain
  return name === undefined ? undefined : unescaped(Buffer.from(name, 'latin1').toString('utf8'))
}

/** After the empty line that ends the head. */
function contentOf(source: string): string {
  const end = source.indexOf('\r\n\r\n')
  return end < 0 ? '' : Buffer.from(source.slice(end + 4), 'latin1').toString('utf8')
}

/** As browsers write names (https://html.spec.whatwg.org/#multipart-form-data). */
const escapes = { '"': '%22', '\r': '%0D', '\n': '%0A' } as const

function unescaped(name: string): string {
  return name.replaceAll(/%(22|0D|0A)/gi, (hex) => decodeURIComponent(hex))
}

function sourceOf(name: string, value: string): string {
  const escaped = name.replaceAll(/["\r\n]/g, (char) => escapes[char as keyof typeof escapes])
  const text = `\r\nContent-Disposition: form-data; name="${escaped}"\r\n\r\n${value}`
  return Buffer.from(text, 'utf8').toString('latin1')
}
