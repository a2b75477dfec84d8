// The members of a JSON object, cut out of its text. What is not changed stays as it is, to the last digit of its
// numbers, and however deep it is nested.
import { isObject, type Json } from '../../base/json.ts'
import type { Editable } from './edits.ts'

/** `source`: the value as JSON. */
interface Member {
  readonly name: string
  readonly source: string
}

export class JsonMembers implements Editable {
  #members: readonly Member[]
  #isChanged = false

  private constructor(members: readonly Member[]) {
    this.#members = members
  }

  /** Undefined for what is no JSON object in UTF-8. Nothing at all counts as an object without members. */
  static parse(body: Buffer): JsonMembers | undefined {
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
      if (text === '') return new JsonMembers([])
      return isObject(JSON.parse(text)) ? new JsonMembers(membersOf(text)) : undefined
    } catch {
      return undefined
    }
  }

  has(name: string): boolean {
    return this.#members.some((member) => member.name === name)
  }

  set(name: string, value: string): void {
    this.#put({ name, source: JSON.stringify(value) })
  }

  /** Makes a list of what is there, and of nothing, too. */
  append(name: string, value: string): void {
    const before = this.#members.find((member) => member.name === name)
    this.#put({ name, source: appended(before?.source, JSON.stringify(value)) })
  }

  remove(name: string): void {
    if (!this.has(name)) return
    this.#members = this.#members.filter((member) => member.name !== name)
    this.#isChanged = true
  }

  /** Undefined where nothing was changed. */
  bytes(): Buffer | undefined {
    if (!this.#isChanged) return undefined
    const members = this.#members.map(({ name, source }) => `${JSON.stringify(name)}:${source}`)
    return Buffer.from(`{${members.join(',')}}`)
  }

  /** In place of the first that has the name; a name that comes twice is one that readers don't agree about. */
  #put(member: Member): void {
    const at = this.#members.findIndex(({ name }) => name === member.name)
    const rest = this.#members.filter(({ name }) => name !== member.name)
    this.#members = rest.toSpliced(at < 0 ? rest.length : at, 0, member)
    this.#isChanged = true
  }
}

function appended(list: string | undefined, element: string): string {
  if (list === undefined) return `[${element}]`
  const value = JSON.parse(list) as Json
  if (!Array.isArray(value)) return `[${list},${element}]`
  return value.length === 0 ? `[${element}]` : `${list.slice(0, -1)},${element}]`
}

/** @param text  a valid JSON object */
function membersOf(text: string): Member[] {
  const members: Member[] = []
  let depth = 0
  let from = 0
  const take = (to: number) => {
    if (text.slice(from, to).trim() !== '') members.push(memberOf(text.slice(from, to).trim()))
    from = to + 1
  }
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '"') i = endOfString(text, i)
    else if (char === '{' || char === '[') {
      if (depth++ === 0) from = i + 1
    } else if (char === '}' || char === ']') {
      if (--depth === 0) take(i)
    } else if (char === ',' && depth === 1) take(i)
  }
  return members
}

/** @param text  `"name" : value` */
function memberOf(text: string): Member {
  const end = endOfString(text, 0)
  const source = text.slice(text.indexOf(':', end) + 1).trim()
  return { name: JSON.parse(text.slice(0, end + 1)) as string, source }
}

/** Where the string that begins at `start` has its last quote. */
function endOfString(text: string, start: number): number {
  let i = start + 1
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i
}
