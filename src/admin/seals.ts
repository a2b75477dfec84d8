// What is stored in the place of texts that are not stored as they are, e.g. of passwords.
import type { JsonObject, Row } from '../base/json.ts'
import type { Random } from '../base/random.ts'
import { Turns } from '../base/turns.ts'
import type { Entity } from '../entities/define.ts'

/** One at once: they take a thread that the node reads files and names by, and no client waits for the second of many. */
const atOnce = 1

/** By attribute: what was given, and what is stored in its place. */
export type Seals = ReadonlyMap<string, { readonly text: string; readonly sealed: string }>

export class Sealer {
  readonly #random: Random
  readonly #turns = new Turns(atOnce)

  constructor(random: Random) {
    this.#random = random
  }

  /** Those of the attributes that `input` gives. They take a while, and so they are made before a row is locked. */
  async of({ fields }: Entity, input: JsonObject): Promise<Seals> {
    const seals = new Map<string, { text: string; sealed: string }>()
    for (const [name, { seal }] of Object.entries(fields)) {
      const given = Object.hasOwn(input, name) ? input[name] : undefined
      if (!seal || typeof given !== 'string') continue
      // As validation leaves it.
      const text = given.trim()
      if (text !== '')
        seals.set(name, { text, sealed: await this.#turns.take(() => seal(text, this.#random)) })
    }
    return seals
  }
}

/** `row` as it is stored, which was made of the input that `seals` are of. What `current` has of it stays. */
export function sealed(row: Row, seals: Seals, current?: Row): Row {
  const changed = [...seals].filter(([name, { text }]) => row[name] === text && current?.[name] !== text)
  return { ...row, ...Object.fromEntries(changed.map(([name, { sealed }]) => [name, sealed])) }
}
