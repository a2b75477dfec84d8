// All that a request says about an entity, from the query string and the body, as one nested object.
import { isObject, type Json, type JsonObject } from '../base/json.ts'
import { Invalid } from '../entities/errors.ts'
import { badRequest } from './errors.ts'
import { type Parameter, parseName, type Step } from './form.ts'

/** Deep enough for any entity; without a bound one request could exhaust the stack. */
const levelsMax = 32

/**
 * Puts parameters into one object. Names nest at every dot, in JSON too; forms may use brackets besides. Of two
 * parameters with one name the later wins, so pass the query first.
 *
 * @param form  from query strings and forms, brackets and all
 * @param json  the members of a JSON body, or nothing
 * @throws {Refused} when one name is both a value and a part of others, or nesting is too deep
 * @throws {Invalid} when text holds a character that the datastore can't
 */
export function nest(form: readonly Parameter[], json: JsonObject = {}): JsonObject {
  const root = new Branch()
  const last = new Map([...form, ...Object.entries(json)])
  for (const [name, value] of last) {
    root.set(Object.hasOwn(json, name) ? dotted(name) : parseName(name), value, 1)
  }
  return root.toJson() as JsonObject
}

const dotted = (name: string): Step[] => name.split('.').map((step) => ({ name: step, place: false }))

/** An object or a list in the making. A Map, since a parameter may be called `__proto__`. */
class Branch {
  readonly #parts = new Map<string, Branch | Json>()
  #places = true

  set(steps: readonly Step[], value: Json, level: number, path = ''): void {
    const [step, ...rest] = steps as [Step, ...Step[]]
    const name = path + step.name
    if (level > levelsMax) throw badRequest(`Nested more than ${levelsMax} levels deep`)
    refuseText(name, step.name)
    this.#places &&= step.place
    const part = this.#parts.get(step.name)
    if (rest.length === 0 && !isObject(value)) {
      if (part instanceof Branch) throw bothWays(name)
      refuseUnstorable(name, step.name, value, level)
      this.#parts.set(step.name, value)
      return
    }
    if (part !== undefined && !(part instanceof Branch)) throw bothWays(name)
    const branch = part ?? new Branch()
    this.#parts.set(step.name, branch)
    if (rest.length > 0) branch.set(rest, value, level + 1, `${name}.`)
    else branch.#setMembers(value as JsonObject, level + 1, `${name}.`)
  }

  #setMembers(members: JsonObject, level: number, path: string): void {
    for (const [name, value] of Object.entries(members)) this.set(dotted(name), value, level, path)
  }

  /** A list when every part was named by its place: in the order of the places, from wherever they start. */
  toJson(): Json {
    const parts = [...this.#parts].map(([name, part]): [string, Json] => [
      name,
      part instanceof Branch ? part.toJson() : part,
    ])
    if (!this.#places || parts.length === 0) return Object.fromEntries(parts)
    return parts.sort(([one], [other]) => Number(one) - Number(other)).map(([, part]) => part)
  }
}

function bothWays(name: string): Error {
  return badRequest(`${name} is given both as a value and by its parts`)
}

function refuseUnstorable(path: string, name: string, value: Json, level: number): void {
  if (level > levelsMax) throw badRequest(`Nested more than ${levelsMax} levels deep`)
  if (typeof value === 'string') refuseText(path, name, value)
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    refuseText(path, name, key)
    refuseUnstorable(path, name, inner, level + 1)
  }
}

function refuseText(path: string, name: string, text = name): void {
  if (isStorable(text)) return
  throw new Invalid({
    [path]: `${name} holds a character that cannot be stored: NUL or half a surrogate pair`,
  })
}

/** Whether Postgres can hold `text`: it has no NUL, and UTF-8 has no unpaired surrogates. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}
