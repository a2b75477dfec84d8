// What was found out about texts that end in a signature, the latest of it: as much as there is room for.

/** What an entry takes beside its text, counted as characters. */
const entryChars = 200

/** A longer text is not remembered: few are, and they would put out many others. */
const textCharsMax = 4096

/** So much of a text finds it, as V8 takes a microsecond for a hash of 500 characters. It is the end of a signature, so that few share it. */
const endChars = 40

interface Entry<T> {
  readonly text: string
  readonly value: T
}

export class Remembered<T> {
  readonly #charsMax: number
  #young = new Map<string, Entry<T>>()
  #old: ReadonlyMap<string, Entry<T>> = new Map()
  #youngChars = 0

  /** @param charsMax  of all texts; what was not asked for lately makes room for what is new */
  constructor(charsMax: number) {
    this.#charsMax = charsMax
  }

  get(text: string): T | undefined {
    const end = text.slice(-endChars)
    const young = this.#young.get(end)
    if (young?.text === text) return young.value
    const old = this.#old.get(end)
    if (old?.text !== text) return undefined
    this.#keep(end, old)
    return old.value
  }

  /** @param text  no part of a longer one, see `copyOf` */
  set(text: string, value: T): void {
    if (text.length <= textCharsMax) this.#keep(text.slice(-endChars), { text, value })
  }

  #keep(end: string, entry: Entry<T>): void {
    this.#young.set(end, entry)
    this.#youngChars += entryChars + entry.text.length
    if (this.#youngChars <= this.#charsMax / 2) return
    this.#old = this.#young
    this.#young = new Map()
    this.#youngChars = 0
  }
}

/** The same text, in memory of its own: what was cut out of the head of a request has all of that kept. */
export function copyOf(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le')
}
