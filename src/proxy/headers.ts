// An ordered list of header fields: names keep their spelling, repeated fields stay apart, nothing is folded.
import { type Field, fieldOf, fieldsOf, rawOf } from './field.ts'

export class Headers {
  readonly #fields: Field[]

  /** @param fields  nobody else's from now on */
  constructor(fields: Field[] = []) {
    this.#fields = fields
  }

  /** Of names and values in turn, as node:http's rawHeaders. @throws {TypeError} as `set` */
  static from(raw: readonly string[]): Headers {
    const headers = new Headers()
    for (let i = 0; i < raw.length; i += 2) headers.append(raw[i] as string, raw[i + 1] as string)
    return headers
  }

  /** The same of those that a parser has found to be fine. */
  static read(raw: readonly string[]): Headers {
    return new Headers(fieldsOf(raw))
  }

  get fields(): readonly Field[] {
    return this.#fields
  }

  copy(): Headers {
    return new Headers([...this.#fields])
  }

  /** The first value of `name`, compared without case. */
  get(name: string): string | undefined {
    const i = this.#find(name)
    return i < 0 ? undefined : (this.#fields[i] as Field).value
  }

  /** All values of `name`, in order. */
  all(name: string): string[] {
    const values: string[] = []
    for (let i = this.#find(name); i >= 0; i = this.#find(name, i + 1))
      values.push((this.#fields[i] as Field).value)
    return values
  }

  has(name: string): boolean {
    return this.#find(name) >= 0
  }

  /**
   * Replaces all fields of `name` by one, in the place of the first and spelled as that was.
   * @throws {TypeError} for a name or a value that can't stand in a head, which it names, but not the value
   */
  set(name: string, value: string): void {
    const i = this.#find(name)
    if (i < 0) {
      this.#fields.push(fieldOf(name, value))
      return
    }
    this.#fields[i] = fieldOf((this.#fields[i] as Field).name, value)
    for (let j = this.#find(name, i + 1); j >= 0; j = this.#find(name, j)) this.#fields.splice(j, 1)
  }

  /** @throws {TypeError} as `set` */
  append(name: string, value: string): void {
    this.#fields.push(fieldOf(name, value))
  }

  remove(name: string): void {
    for (let i = this.#find(name); i >= 0; i = this.#find(name, i)) this.#fields.splice(i, 1)
  }

  /** Names and values in turn. */
  raw(): string[] {
    return rawOf(this.#fields)
  }

  /** One object with lower-case names, repeated fields joined by `, `: the form of log records. */
  toObject(): Record<string, string> {
    const object: Record<string, string> = Object.create(null)
    for (const { of, value } of this.#fields)
      object[of.lower] = of.lower in object ? `${object[of.lower]}, ${value}` : value
    return object
  }

  #find(name: string, from = 0): number {
    const fields = this.#fields
    let lower: string | undefined
    for (let i = from; i < fields.length; i++) {
      const { text, lower: candidate } = (fields[i] as Field).of
      // Most differ in length, and most others in nothing.
      if (text.length !== name.length) continue
      if (text === name) return i
      lower ??= name.toLowerCase()
      if (candidate === lower) return i
    }
    return -1
  }
}
