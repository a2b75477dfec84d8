// What writes for plugins where no node does.
import type { Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { Entity } from '../../src/entities/define.ts'
import type { Where, Writer } from '../../src/plugins/plugin.ts'
import type { ScriptedCatalog } from '../../src/testing/scripted-catalog.ts'

/** Writes into a catalog, as the log would have it. */
export class CatalogWriter implements Writer {
  /** Where it writes. */
  catalog: Pick<ScriptedCatalog, 'put' | 'remove'> | undefined
  /** Called before each write; throw to make it fail. */
  onWrite: () => void | Promise<void> = () => {}
  readonly #rows = new Map<string, Row[]>()

  rows({ name }: Entity): readonly Row[] {
    return this.#rows.get(name) ?? []
  }

  async update(): Promise<boolean> {
    return false
  }

  async insert({ name, fields }: Entity, values: Row): Promise<Row> {
    await this.onWrite()
    const unset = Object.fromEntries(Object.keys(fields).map((column) => [column, null]))
    const created_at = Math.floor(Date.now() / 1000) * 1000
    const row: Row = { ...unset, ...values, id: systemRandom.uuid(), created_at }
    this.#rows.set(name, [...(this.#rows.get(name) ?? []), row])
    this.catalog?.put(name, row)
    return row
  }

  async exchange(from: Entity, where: Where, to: Entity, values: Row): Promise<Row | null> {
    await this.onWrite()
    const isIt = (row: Row) =>
      Object.entries(where).every(([column, value]) => (row[column] ?? null) === value)
    const taken = this.rows(from).find(isIt)
    if (!taken) return null
    this.#rows.set(
      from.name,
      this.rows(from).filter((row) => row !== taken),
    )
    this.catalog?.remove(from.name, ({ id }) => id === taken.id)
    const kept = Object.entries(taken).filter(([column]) => column in to.fields)
    return this.insert(to, { ...Object.fromEntries(kept), ...values })
  }
}
