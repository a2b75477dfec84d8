// A query string, or a form, read and changed without touching the bytes that stay: each of them is one char.

/** Every value of the parameter `name`, decoded; undefined for `?name` without `=`. */
export function queryValues(query: string | undefined, name: string): (string | undefined)[] {
  if (query === undefined || query === '') return []
  return parts(query).flatMap((part) => {
    const mark = part.indexOf('=')
    if (decode(mark < 0 ? part : part.slice(0, mark)) !== name) return []
    return [mark < 0 ? undefined : decode(part.slice(mark + 1))]
  })
}

/** The query without the parameter `name`; undefined when nothing is left. */
export function withoutParameter(query: string | undefined, name: string): string | undefined {
  const kept = parts(query).filter((part) => nameOf(part) !== name)
  return kept.length === 0 ? undefined : kept.join('&')
}

/** The parameters of a query string, or of a form. */
export class Parameters {
  #parts: string[]
  #isChanged = false

  constructor(text: string | undefined) {
    this.#parts = parts(text)
  }

  has(name: string): boolean {
    return this.#parts.some((part) => nameOf(part) === name)
  }

  /** In place of the first that has the name, or at the end. */
  set(name: string, value: string): void {
    const at = this.#parts.findIndex((part) => nameOf(part) === name)
    this.remove(name)
    this.#parts = this.#parts.toSpliced(at < 0 ? this.#parts.length : at, 0, encode(name, value))
    this.#isChanged = true
  }

  append(name: string, value: string): void {
    this.#parts.push(encode(name, value))
    this.#isChanged = true
  }

  remove(name: string): void {
    if (!this.has(name)) return
    this.#parts = this.#parts.filter((part) => nameOf(part) !== name)
    this.#isChanged = true
  }

  /** Undefined when there is none. */
  get text(): string | undefined {
    return this.#parts.length === 0 ? undefined : this.#parts.join('&')
  }

  /** As a form; undefined where nothing was changed. */
  bytes(): Buffer | undefined {
    return this.#isChanged ? Buffer.from(this.text ?? '', 'latin1') : undefined
  }
}

function encode(name: string, value: string): string {
  return `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(value.toWellFormed())}`
}

function nameOf(part: string): string {
  return decode(part.split('=', 1)[0] as string)
}

function parts(query: string | undefined): string[] {
  return query === undefined || query === '' ? [] : query.split('&')
}

/** Percent-encoded UTF-8 with `+` for a blank; text that is none of that stands for itself. */
function decode(text: string): string {
  const utf8 = Buffer.from(text, 'latin1').toString('utf8')
  try {
    return decodeURIComponent(utf8.replaceAll('+', ' '))
  } catch {
    return utf8
  }
}
