// The store, with its writes told to the follower of the log.
import type { Stamp } from '../base/stamp.ts'
import type { Store, Written } from '../store/store.ts'

/** Who judges heads; the follower of the log fits. */
export interface HeadObserver {
  applied(): Stamp
  observe(sentAt: Stamp, answered: Stamp, path: 'write'): void
}

/**
 * A write answers with a head of the primary. One below what was applied before it was sent, or with another digest,
 * is of another history, and is found out here rather than by the next heartbeat.
 */
export function observedStore(store: Store, observer: HeadObserver): Store {
  const observed = async <W extends Written | null>(write: () => Promise<W>): Promise<W> => {
    const sentAt = observer.applied()
    const written = await write()
    if (written) observer.observe(sentAt, written.stamp, 'write')
    return written
  }
  return {
    find: (entity, lookup, values, source) => store.find(entity, lookup, values, source),
    findMany: (entity, lookup, keys) => store.findMany(entity, lookup, keys),
    scan: (entity, take) => store.scan(entity, take),
    page: (entity, page) => store.page(entity, page),
    read: (entity, where) => store.read(entity, where),
    list: (entity, where, page) => store.list(entity, where, page),
    count: (entity) => store.count(entity),
    distinct: (entity, column) => store.distinct(entity, column),
    insert: (entity, row, actor) => observed(() => store.insert(entity, row, actor)),
    update: (entity, where, revise, actor) => observed(() => store.update(entity, where, revise, actor)),
    remove: (entity, where, agree, actor) => observed(() => store.remove(entity, where, agree, actor)),
    exchange: (from, where, to, make, actor) => observed(() => store.exchange(from, where, to, make, actor)),
  }
}
