// An ordered list of header fields: names keep their spelling, repeated fields stay apart, nothing is folded.

/**
 * `X-Troop-Min-Position: <n>` asks this node to answer once it has applied n. It is the gateway's own and goes no
 * further, since positions of another cluster's log say nothing.
 */
export const minPositionHeader = 'x-troop-min-position'

export class Headers {
  /** Names and values in turn, as node:http's rawHeaders. */
  #raw: string[]

  constructor(raw: readonly string[] = []) {
    this.#raw = [...raw]
  }

  /** Of a list that is nobody else's from now on, and so need not be copied. */
  static of(raw: string[]): Headers {
    const headers = new Headers()
    headers.#raw = raw
    return headers
  }

  /** The first value of `name`, compared without case. */
  get(name: string): string | undefined {
    const i = this.#find(name)
    return i < 0 ? undefined : this.#raw[i + 1]
  }

  /** All values of `name`, in order. */
  all(name: string): string[] {
    const values: string[] = []
    for (let i = this.#find(name); i >= 0; i = this.#find(name, i + 2))
      values.push(this.#raw[i + 1] as string)
    return values
  }

  has(name: string): boolean {
    return this.#find(name) >= 0
  }

  /** Replaces all fields of `name` by one, in the place of the first. */
  set(name: string, value: string): void {
    const i = this.#find(name)
    if (i < 0) {
      this.#raw.push(name, value)
      return
    }
    this.#raw[i + 1] = value
    for (let j = this.#find(name, i + 2); j >= 0; j = this.#find(name, j)) this.#raw.splice(j, 2)
  }

  append(name: string, value: string): void {
    this.#raw.push(name, value)
  }

  remove(name: string): void {
    for (let i = this.#find(name); i >= 0; i = this.#find(name, i)) this.#raw.splice(i, 2)
  }

  /** Names and values in turn. */
  raw(): readonly string[] {
    return this.#raw
  }

  /** One object with lower-case names, repeated fields joined by `, `: the form of log records. */
  toObject(): Record<string, string> {
    const object: Record<string, string> = Object.create(null)
    for (let i = 0; i < this.#raw.length; i += 2) {
      const name = (this.#raw[i] as string).toLowerCase()
      const value = this.#raw[i + 1] as string
      object[name] = name in object ? `${object[name]}, ${value}` : value
    }
    return object
  }

  #find(name: string, from = 0): number {
    const raw = this.#raw
    let lower: string | undefined
    for (let i = from; i < raw.length; i += 2) {
      const candidate = raw[i] as string
      // Most differ in length, and most others in nothing.
      if (candidate.length !== name.length) continue
      if (candidate === name) return i
      lower ??= name.toLowerCase()
      if (candidate.toLowerCase() === lower) return i
    }
    return -1
  }
}
