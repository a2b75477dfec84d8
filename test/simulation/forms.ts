// The simulated forms of what an agent needs of the datastore, statement for statement as those in Postgres.
import type { Row } from '../../src/base/json.ts'
import type { Stamp, Stamped } from '../../src/base/stamp.ts'
import { cacheKey } from '../../src/catalog/keys.ts'
import type {
  Beat,
  Holding,
  NodeIdentity,
  RegisteredNode,
  Registry,
} from '../../src/cluster/membership/registry.ts'
import type { Entity, Lookup } from '../../src/entities/define.ts'
import type { AgentDatastore } from '../../src/node/agent-datastore.ts'
import type { Filter, KeyPage, Store, Written } from '../../src/store/store.ts'
import type { Committed, Datastore, NodeRow } from './datastore.ts'
import type { Session } from './session.ts'
import { type Changes, rowsOf, type Tables } from './tables.ts'

export function simulatedForms(session: Session): AgentDatastore {
  return {
    log: {
      head: () => session.ask(({ head }) => stampOf(head)),
      read: (applied) =>
        session.ask((datastore) => {
          session.watcher.pulls()
          return datastore.read(applied)
        }),
      hasBoth: (one, other) => session.ask((datastore) => datastore.has(one) && datastore.has(other)),
      prune: ({ keepEvents }) => session.ask((datastore) => datastore.prune(keepEvents), 'commit'),
    },
    history: { read: () => Promise.reject(new Error('nobody reads the log in a simulation')) },
    subscribe: session.subscribe,
    store: new SimulatedStore(session),
    registry: new SimulatedRegistry(session),
  }
}

/** What a watcher is told of who reads which keys a table has. */
export function keysOf(table: string): string {
  return `keys of ${table}`
}

function stampOf({ position, digest }: Stamp): Stamp {
  return { position, digest }
}

export class SimulatedStore implements Store {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  find(
    entity: Entity,
    lookup: Lookup,
    values: readonly (string | null)[],
    source: 'primary' | 'replica',
  ): Promise<Stamped<Row[]>> {
    return this.#session.ask((datastore) => {
      const state = source === 'replica' ? datastore.replica() : datastore.head
      this.#session.watcher.read(cacheKey(lookup, values), state)
      return { value: rowsUnder(state.tables, entity, lookup, [values]), stamp: stampOf(state) }
    })
  }

  findMany(
    entity: Entity,
    lookup: Lookup,
    keys: readonly (readonly (string | null)[])[],
  ): Promise<Stamped<Row[]>> {
    return this.#stamped((tables) => rowsUnder(tables, entity, lookup, keys))
  }

  /** Of one snapshot, in two steps: things happen in between. */
  async scan(entity: Entity, take: (rows: readonly Row[]) => void): Promise<Stamped<number>> {
    const { rows, stamp } = await this.#session.ask(({ head }) => {
      this.#session.watcher.read(entity.name, head)
      return { rows: rowsOf(head.tables, entity.name), stamp: stampOf(head) }
    })
    const half = Math.ceil(rows.length / 2)
    take(rows.slice(0, half))
    take(await this.#session.ask(() => rows.slice(half)))
    return { value: rows.length, stamp }
  }

  page(entity: Entity, { after, size }: KeyPage): Promise<Stamped<Row[]>> {
    return this.#session.ask(({ head }) => {
      this.#session.watcher.read(keysOf(entity.name), head)
      const rows = rowsOf(head.tables, entity.name).filter(({ id }) => after === null || String(id) > after)
      const page = rows.sort((a, b) => (String(a.id) < String(b.id) ? -1 : 1)).slice(0, size)
      return { value: page, stamp: stampOf(head) }
    })
  }

  async read(entity: Entity, where: Filter): Promise<Row | null> {
    return this.#session.ask(({ head }) => rowsOf(head.tables, entity.name, where)[0] ?? null)
  }

  async list(entity: Entity, where: Filter): Promise<{ rows: Row[]; total: number }> {
    const rows = await this.#session.ask(({ head }) => rowsOf(head.tables, entity.name, where))
    return { rows, total: rows.length }
  }

  async count(entity: Entity): Promise<number> {
    return (await this.list(entity, {})).total
  }

  async distinct(entity: Entity, column: string): Promise<string[]> {
    const { rows } = await this.list(entity, {})
    return [...new Set(rows.map((row) => String(row[column])))].sort()
  }

  async insert(entity: Entity, given: Row, actor: string | null): Promise<Written> {
    const written = await this.#session.change(
      // Nobody else waits for a row that is not there yet.
      `insert ${entity.name} ${JSON.stringify(given)}`,
      () => null,
      () => (datastore) => {
        const made = {
          id: datastore.uuid(),
          created_at: Math.floor(datastore.now() / 1000) * 1000,
        }
        return writtenBy(datastore, 'create', actor, (changes) => changes.insert(entity, given, made))
      },
    )
    return written as Written
  }

  update(
    entity: Entity,
    where: Filter,
    revise: (current: Row) => Row,
    actor: string | null,
  ): Promise<Written | null> {
    return this.#changeRow(entity, where, (current) => {
      const next = revise(current)
      return (datastore) =>
        writtenBy(datastore, 'update', actor, (changes) => changes.update(entity, current, next))
    })
  }

  remove(
    entity: Entity,
    where: Filter,
    agree: (current: Row) => void,
    actor: string | null,
  ): Promise<Written | null> {
    return this.#changeRow(entity, where, (current) => {
      agree(current)
      return (datastore) =>
        writtenBy(datastore, 'delete', actor, (changes) => {
          changes.remove(entity.name, current)
          return current
        })
    })
  }

  exchange(
    from: Entity,
    where: Filter,
    to: Entity,
    make: (taken: Row) => Row,
    actor: string | null,
  ): Promise<Written | null> {
    return this.#changeRow(from, where, (taken) => {
      const given = make(taken)
      return (datastore) =>
        writtenBy(datastore, 'create', actor, (changes) => {
          changes.remove(from.name, taken)
          const made = { id: datastore.uuid(), created_at: Math.floor(datastore.now() / 1000) * 1000 }
          return changes.insert(to, given, made)
        })
    })
  }

  /** A whole table is locked: whoever deletes a row's parent in between is kept out as well as one who has the row. */
  #changeRow(
    entity: Entity,
    where: Filter,
    decide: (current: Row) => (datastore: Datastore) => Written,
  ): Promise<Written | null> {
    const find = ({ head }: Datastore) => rowsOf(head.tables, entity.name, where)[0]
    return this.#session.change(`rows ${entity.name}`, find, (current) => {
      if (!current) return null
      const work = decide(current)
      return (datastore) => {
        // Gone with its parent, which that lock does not cover: as the row's lock would have shown before.
        if (find(datastore) !== current) return null as unknown as Written
        return work(datastore)
      }
    })
  }

  #stamped(read: (tables: Tables) => Row[]): Promise<Stamped<Row[]>> {
    return this.#session.ask(({ head }) => ({ value: read(head.tables), stamp: stampOf(head) }))
  }
}

function writtenBy(
  datastore: Datastore,
  operation: Written['operation'],
  actor: string | null,
  work: (changes: Changes) => Row,
): Written {
  let row: Row | undefined
  const { stamp, nodes }: Committed = datastore.commit(actor, (changes) => {
    row = work(changes)
  })
  return { row: row as Row, operation, stamp, nodes }
}

/** The rows under any of these keys, those among them that are in every list of the lookup. */
function rowsUnder(
  tables: Tables,
  entity: Entity,
  lookup: Lookup,
  keys: readonly (readonly (string | null)[])[],
): Row[] {
  const spelled = (values: readonly (string | null)[]) =>
    JSON.stringify(lookup.by.map((_, i) => values[i] ?? null))
  const wanted = new Set(keys.map(spelled))
  if (lookup.everywhere && keys.length > 0) wanted.add(spelled([]))
  return rowsOf(tables, entity.name).filter((row) =>
    wanted.has(spelled(lookup.by.map((column) => (row[column] ?? null) as string | null))),
  )
}

export class SimulatedRegistry implements Registry {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  find(name: string): Promise<RegisteredNode | undefined> {
    return this.#session.ask((datastore) => {
      const row = datastore.nodes.get(name)
      return row && registered(datastore, row)
    })
  }

  register(node: NodeIdentity, replaced: number | undefined): Promise<number | undefined> {
    return this.#session.ask((datastore) => {
      const { committed, changed } = datastore.commitNodes((rows) => {
        const old = rows.get(node.name)
        if (old && old.life !== (replaced ?? null)) return []
        return [[node.name, { ...rowOf(datastore, node), created_at: old?.created_at ?? datastore.now() }]]
      })
      return changed > 0 ? committed.stamp.position : undefined
    }, 'commit')
  }

  async rejoin(name: string, life: number, intervalMs: number): Promise<void> {
    await this.#session.ask((datastore) => {
      datastore.commitNodes((rows) => {
        const row = rows.get(name)
        if (row?.life !== life || row.status !== 'alive') return []
        if (row.rejoined_at !== null && row.rejoined_at >= datastore.now() - intervalMs) return []
        return [[name, { ...row, rejoined_at: datastore.now() }]]
      })
    }, 'commit')
  }

  restore(node: NodeIdentity, life: number): Promise<boolean> {
    return this.#session.ask((datastore) => {
      const { changed } = datastore.commitNodes((rows) =>
        rows.has(node.name) ? [] : [[node.name, { ...rowOf(datastore, node), life }]],
      )
      return changed > 0
    }, 'commit')
  }

  async beat(name: string, life: number, applied: number): Promise<Beat> {
    let standing: number | undefined
    const beat = await this.#session.ask<Beat>((datastore) => {
      const row = datastore.nodes.get(name)
      standing = row?.life ?? undefined
      const isHeld = row?.life === life && row.status !== 'left'
      // A server that takes no changes says so before it says anything else.
      if (this.#session.server.mode === 'read-only') throw readOnly()
      if (isHeld) datastore.touchNode(name, { last_seen: datastore.now(), applied })
      const holding: Holding = isHeld
        ? 'held'
        : row === undefined
          ? 'gone'
          : row.life === life
            ? 'forced-out'
            : 'taken'
      return { head: stampOf(datastore.head), holding, now: datastore.now() }
    })
    this.#session.watcher.beat(life, standing)
    return beat
  }

  async leave(name: string, life: number, status: 'leaving' | 'left'): Promise<void> {
    await this.#session.ask((datastore) => {
      datastore.commitNodes((rows) => {
        const row = rows.get(name)
        if (row?.life !== life || row.status === 'left') return []
        return [[name, { ...row, status, last_seen: datastore.now() }]]
      })
    }, 'commit')
  }

  credentials(offered: string): Promise<{ id: string; secret: string }> {
    return this.#session.ask((datastore) => datastore.credentials(offered))
  }

  forceLeave(name: string): Promise<boolean> {
    return this.#session.ask((datastore) => forceLeave(datastore, name), 'commit')
  }

  rows(): Promise<RegisteredNode[]> {
    return this.#session.ask((datastore) =>
      [...datastore.nodes.values()]
        .map((row) => registered(datastore, row))
        .sort((a, b) => b.life - a.life || (a.name < b.name ? -1 : 1)),
    )
  }

  async removeExpired(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    await this.#session.ask((datastore) => {
      datastore.commitNodes((rows) =>
        names
          .filter((name) => {
            const row = rows.get(name)
            return row && datastore.isExpired(row)
          })
          .map((name) => [name, null]),
      )
    }, 'commit')
  }
}

/** Also by hand, with psql. False when there is no such node. */
export function forceLeave(datastore: Datastore, name: string): boolean {
  const isThere = datastore.nodes.has(name)
  datastore.commitNodes((rows) => {
    const row = rows.get(name)
    return row && row.status !== 'left'
      ? [[name, { ...row, status: 'left', forced_at: datastore.now() }]]
      : []
  })
  return isThere
}

function rowOf(datastore: Datastore, node: NodeIdentity): NodeRow {
  const { name, address, ttlSeconds, version, refusesAfterMs } = node
  return {
    name,
    cluster_listening_address: address,
    status: 'alive',
    life: null,
    applied: null,
    last_seen: datastore.now(),
    ttl_on_failure: ttlSeconds,
    version,
    created_at: datastore.now(),
    refuses_after_ms: refusesAfterMs,
    forced_at: null,
    rejoined_at: null,
  }
}

function registered(datastore: Datastore, row: NodeRow): RegisteredNode {
  return {
    name: row.name,
    address: row.cluster_listening_address,
    status: row.status,
    forced: row.forced_at !== null,
    life: row.life as number,
    applied: row.applied,
    silentMs: datastore.now() - row.last_seen,
    expired: datastore.isExpired(row),
    version: row.version,
    refusesAfterMs: row.refuses_after_ms,
    createdAt: row.created_at,
  }
}

function readOnly(): Error {
  return Object.assign(new Error('cannot execute UPDATE in a read-only transaction'), {
    code: 'datastore-error',
  })
}
