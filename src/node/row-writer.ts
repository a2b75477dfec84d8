// What plugins have written, by the agent on their behalf.
import type { Logger } from '../base/logger.ts'
import type { Entity } from '../entities/define.ts'
import type { Store, Written } from '../store/store.ts'
import type { UpdateRow } from './writing-link.ts'

export interface RowWriterOptions {
  readonly store: Pick<Store, 'update'>
  /** Of the plugins that the node has by now. */
  readonly entities: () => readonly Entity[]
  /** Makes a committed write known; it is not waited for. */
  readonly publish: (written: Written) => Promise<unknown>
  readonly logger: Logger
}

/** Events tell it as the one who wrote. */
const actor = 'plugins'

export function rowWriter({ store, entities, publish, logger }: RowWriterOptions): UpdateRow {
  return async (name, where, values) => {
    const entity = entities().find((entity) => entity.name === name)
    if (!entity) throw new TypeError(`no plugin has rows ${name}`)
    const written = await store.update(entity, where, (current) => ({ ...current, ...values }), actor)
    if (!written) return false
    publish(written).catch((error) => {
      logger.warn('a committed write is not applied here yet', { position: written.stamp.position, error })
    })
    return true
  }
}
