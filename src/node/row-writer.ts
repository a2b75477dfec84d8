// What plugins have written, by the agent on their behalf.
import type { Row } from '../base/json.ts'
import type { Logger } from '../base/logger.ts'
import type { Entity } from '../entities/define.ts'
import type { Where, Writer } from '../plugins/plugin.ts'
import type { Store, Written } from '../store/store.ts'

/** `Writer`, with entities by their names. */
export interface RowWriter {
  update(entity: string, where: Where, values: Row): Promise<boolean>
  insert(entity: string, values: Row): Promise<Row>
  exchange(from: string, where: Where, to: string, values: Row): Promise<Row | null>
}

export interface RowWriterOptions {
  readonly store: Pick<Store, 'update' | 'insert' | 'exchange'>
  /** Of the plugins that the node has by now. */
  readonly entities: () => readonly Entity[]
  /** Makes a committed write known: here, then to the others, which are waited for as long as `waitMs`. */
  readonly publish: (written: Written, waitMs: number) => Promise<unknown>
  /** The longest that a new row waits for other nodes. */
  readonly ackTimeoutMs: () => number
  readonly logger: Logger
}

/** Events tell it as the one who wrote. */
const actor = 'plugins'

export function rowWriter({ store, entities, publish, ackTimeoutMs, logger }: RowWriterOptions): RowWriter {
  const entityOf = (name: string): Entity => {
    const entity = entities().find((entity) => entity.name === name)
    if (!entity) throw new TypeError(`no plugin has rows ${name}`)
    return entity
  }

  /** The write stands, whatever becomes of this. */
  const tell = async (written: Written, waitMs: number): Promise<void> => {
    try {
      await publish(written, waitMs)
    } catch (error) {
      logger.warn('a committed write is not applied here yet', { position: written.stamp.position, error })
    }
  }

  const made = async ({ logged = true }: Entity, written: Written): Promise<Row> => {
    if (logged) await tell(written, ackTimeoutMs())
    return written.row
  }

  return {
    async update(name, where, values) {
      const revise = (current: Row) => ({ ...current, ...values })
      const written = await store.update(entityOf(name), where, revise, actor)
      if (written) void tell(written, 0)
      return written !== null
    },

    async insert(name, values) {
      const entity = entityOf(name)
      return made(entity, await store.insert(entity, values, actor))
    },

    async exchange(from, where, to, values) {
      const [old, next] = [entityOf(from), entityOf(to)]
      const make = (taken: Row) => ({ ...inCommon(taken, next), ...values })
      const written = await store.exchange(old, where, next, make, actor)
      return written && made(next, written)
    },
  }
}

/** As plugins have it. */
export function byEntity({ update, insert, exchange }: RowWriter): Writer {
  return {
    update: (entity, where, values) => update(entity.name, where, values),
    insert: (entity, values) => insert(entity.name, values),
    exchange: (from, where, to, values) => exchange(from.name, where, to.name, values),
  }
}

/** Of `row` what a new one of `entity` has, too. */
function inCommon(row: Row, { fields }: Entity): Row {
  const isKept = (column: string) => column !== 'id' && column !== 'created_at' && column in fields
  return Object.fromEntries(Object.entries(row).filter(([column]) => isKept(column)))
}
