// One line of a head. It can stand there as it is, which is seen to when it is made: so a line that was read is passed on as
// it is, and nothing has to be looked at again.
import { http } from '../base/http.ts'
import { type FieldName, nameOf } from './field-names.ts'

export class Field {
  readonly of: FieldName
  /** `Name: value` and the end of the line; to be written as latin1, since each character is a byte. */
  readonly line: string
  /** Undefined until somebody asks for it. */
  #value: string | undefined

  /** See `fieldOf`, and `fieldIn` for what a parser has read. */
  constructor(of: FieldName, line: string) {
    this.of = of
    this.line = line
  }

  /** As it is spelled. */
  get name(): string {
    return this.of.text
  }

  get value(): string {
    this.#value ??= this.line.slice(this.of.text.length + separator.length, -lineEnd.length)
    return this.#value
  }

  /** The sum of the `kinds` of its name. */
  get kinds(): number {
    return this.of.kinds
  }
}

const separator = ': '
const lineEnd = '\r\n'

/** @throws {TypeError} for a name or a value that can't stand in a head; it names the field, never the value */
export function fieldOf(name: string, given: string): Field {
  const of = nameOf(name)
  // A plugin may be written in JavaScript.
  const value = typeof given === 'string' ? given : String(given)
  if (of.lastValue === value) return new Field(of, of.lastLine)
  requireValid(of, value)
  const line = `${name}${separator}${value}${lineEnd}`
  if (value.length <= lastCharsMax) {
    of.lastValue = value
    of.lastLine = line
  }
  return new Field(of, line)
}

/**
 * What a longer value was is not kept. A kept one may keep the head that it stood in; the names are those that the gateway and
 * its plugins set, so these are few.
 */
const lastCharsMax = 200

/**
 * A line that a parser has read, and found to be none that can't stand in a head.
 *
 * @param text       its line is in it from `from`, and ends at `to`
 * @param valueFrom  where its value begins, without the blanks around it
 */
export function fieldIn(
  text: string,
  of: FieldName,
  from: number,
  valueFrom: number,
  valueTo: number,
  to: number,
): Field {
  const nameTo = from + of.text.length
  const isUsual =
    valueTo === to && valueFrom === nameTo + separator.length && text.charCodeAt(nameTo + 1) === space
  const line = isUsual
    ? text.slice(from, to + lineEnd.length)
    : `${of.text}${separator}${text.slice(valueFrom, valueTo)}${lineEnd}`
  return new Field(of, line)
}

/** Of names and values in turn, which a parser has found to be fine. */
export function fieldsOf(raw: readonly string[]): Field[] {
  const fields: Field[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    fields.push(new Field(nameOf(name), `${name}${separator}${raw[i + 1]}${lineEnd}`))
  }
  return fields
}

/** Whether they can stand in a head. */
export function canBeField(name: string, value: string): boolean {
  return nameOf(name).isToken && !notInValue.test(value)
}

/** Names and values in turn. */
export function rawOf(fields: readonly Field[]): string[] {
  const raw: string[] = []
  for (const { name, value } of fields) raw.push(name, value)
  return raw
}

function requireValid({ text, isToken }: FieldName, value: string): void {
  if (isToken && !notInValue.test(value)) return
  http.validateHeaderName(text)
  http.validateHeaderValue(text, value)
}

/** RFC 9110, 5.5. */
export const notInValue = /[^\t\x20-\x7e\x80-\xff]/
const space = 0x20
