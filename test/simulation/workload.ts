// What people do with a cluster meanwhile: they write through any of its nodes, or past them, and ask its workers.

import { codeOf } from '../../src/base/errors.ts'
import type { Row } from '../../src/base/json.ts'
import { api } from '../../src/entities/api.ts'
import { consumer } from '../../src/entities/consumer.ts'
import type { Entity } from '../../src/entities/define.ts'
import { plugin } from '../../src/entities/plugin.ts'
import { keyauthCredential as credential } from '../../src/plugins/key-auth/credential.ts'
import type { Store, Written } from '../../src/store/store.ts'
import type { SimulatedNode } from './node.ts'
import type { Operation } from './plan.ts'
import { clientAddress, type Question, questionOf } from './request.ts'
import { type Changes, rowsOf, type Tables } from './tables.ts'
import type { World } from './world.ts'

/** How often each is done, of the sum of all. */
export const operationWeights = {
  'create api': 3,
  'point api elsewhere': 6,
  'delete api': 2,
  'guard api': 3,
  'number requests': 3,
  'guard all apis': 1,
  'number all requests': 1,
  'lock out': 2,
  'let in': 2,
  'open api': 2,
  'create consumer': 3,
  'delete consumer': 1,
  'give key': 5,
  'change key': 5,
  'take key': 2,
  'write past all nodes': 3,
  'write much past all nodes': 1,
  'guard for a moment past all nodes': 2,
}
export type OperationKind = keyof typeof operationWeights

/** Few, so that writes and lookups meet. */
export const paths = ['/a0', '/a1', '/a2']
export const keys = ['k0', 'k1', 'k2', 'k3']
const usernames = ['u0', 'u1', 'u2']

/** An API that asks for a key, and a key. */
export interface Guarded {
  readonly place: Row
  readonly key: string
  readonly question: Question
  /** To the same API. */
  readonly keyless: Question
  /** The key is the other one's of two consumers from now on, and again the first one's. */
  handOn(): void
}

export class Workload {
  readonly #world: World
  #revision = 0
  #restsUntilMs = 0
  #isSilentUntilMs = 0

  constructor(world: World) {
    this.#world = world
  }

  /** So that there is something to serve from the beginning. */
  populate(): void {
    this.#world.datastore.commit('setup', (changes) => {
      const made = () => ({ id: this.#world.datastore.uuid(), created_at: this.#world.datastore.now() })
      const [first] = paths.map((path) => changes.insert(api, apiRow(path, 0), made()))
      const [someone] = usernames
        .slice(0, 2)
        .map((username) => changes.insert(consumer, { username }, made()))
      changes.insert(credential, { consumer_id: someone?.id as string, key: keys[0] as string }, made())
      changes.insert(plugin, guard(first as Row), made())
    })
  }

  run({ kind, draws, waits }: Operation): void {
    const { datastore, trace } = this.#world
    if (this.isResting) return
    if (kind === 'guard for a moment past all nodes') {
      this.#guardForAMoment(draws)
      return
    }
    if (kind.startsWith('write ')) {
      trace.say('psql', kind)
      // More than a page, and now and then more than is applied event by event.
      const much = draws[1] < 0.2 ? 90 : 30
      this.changePast(kind === 'write much past all nodes' ? much : 3, draws[0])
      return
    }
    const nodes = this.#world.nodes.filter((node) => node.serves())
    const node = nodes[Math.floor(draws[0] * nodes.length)]
    if (!node) return
    const write = this.#writeOf(kind, node.agent.store, datastore.head.tables, draws)
    if (!write) return
    trace.say(node.label, `is asked to ${kind}`)
    this.lookMeanwhile(writeMs)
    void this.#carryOut(node, kind, write, waits ? 10_000 : 0)
  }

  /** Points an API elsewhere by this node, and waits for all to have that. */
  changeBy(node: SimulatedNode): void {
    const { datastore } = this.#world
    const kind = 'point api elsewhere'
    const write = this.#writeOf(kind, node.agent.store, datastore.head.tables, [0, 0, 0])
    if (write) void this.#carryOut(node, kind, write, 10_000)
  }

  /** People do nothing for a while. */
  rest(forMs: number): void {
    this.#restsUntilMs = this.#world.scheduler.now + forMs
  }

  get isResting(): boolean {
    return this.#restsUntilMs > this.#world.scheduler.now
  }

  /** Nor does anybody ask for anything: whoever learns of something has looked for it himself. */
  fallSilent(forMs: number): void {
    this.rest(forMs)
    this.#isSilentUntilMs = this.#world.scheduler.now + forMs
  }

  get isSilent(): boolean {
    return this.#isSilentUntilMs > this.#world.scheduler.now
  }

  /** Any request. */
  question(): Question {
    const { requests } = this.#world.chance
    const path = paths[Math.floor(requests.fraction() * paths.length)] as string
    const key = requests.fraction() < 0.15 ? undefined : keys[Math.floor(requests.fraction() * keys.length)]
    return questionOf(path, key)
  }

  /** Every request that there is. */
  everything(): Question[] {
    return paths.flatMap((path) => [undefined, ...keys].map((key) => questionOf(path, key)))
  }

  async #carryOut(
    node: SimulatedNode,
    kind: OperationKind,
    write: () => Promise<Written | null>,
    waitMs: number,
  ): Promise<void> {
    const { trace, oracle, marks } = this.#world
    try {
      const outcome = await node.write(write, waitMs)
      if (!outcome) return
      const [written, delivered] = outcome
      const { applied, of, lagging } = delivered
      trace.say(node.label, `answers ${kind}`, {
        position: written.stamp.position,
        applied: `${applied}/${of}`,
        ...(lagging.length > 0 && { lagging }),
      })
      oracle.answered(node, written, delivered, waitMs)
      this.#look()
    } catch (error) {
      const code = codeOf(error)
      if (code === undefined)
        return void oracle.fail('health', `a write failed in a way of its own: ${error}`)
      trace.say(node.label, `fails to ${kind}`, { code })
      marks.note(`write: ${code}`)
      oracle.refused(code)
    }
  }

  /** Asks anywhere for anything while the change is on its way: what is read then is overtaken by it. */
  lookMeanwhile(forMs: number): void {
    const { scheduler, chance } = this.#world
    for (let i = 0; i < 4; i++) {
      scheduler.after(forMs * chance.requests.fraction(), () => {
        const node = this.#world.running(chance.requests.fraction())
        if (node?.serves()) this.#world.ask(node, i, this.question())
      })
    }
  }

  /** Asks everywhere for everything that might be new, right after an answer. */
  #look(): void {
    for (const node of this.#world.nodes) {
      if (!node.serves()) continue
      for (let worker = 0; worker < node.workers.length; worker++) {
        this.#world.ask(node, worker, this.question())
      }
    }
  }

  #writeOf(
    kind: OperationKind,
    store: Store,
    tables: Tables,
    [, one, other]: Operation['draws'],
  ): (() => Promise<Written | null>) | undefined {
    const any = (entity: Entity): Row | undefined => {
      const rows = rowsOf(tables, entity.name)
      return rows[Math.floor(one * rows.length)]
    }
    const revise = (row: Row | undefined, entity: Entity, change: Row) =>
      row &&
      (() => store.update(entity, { id: row.id as string }, (current) => ({ ...current, ...change }), actor))
    const remove = (row: Row | undefined, entity: Entity) =>
      row && (() => store.remove(entity, { id: row.id as string }, () => undefined, actor))
    const insert = (entity: Entity, row: Row) => () => store.insert(entity, row, actor)
    const path = paths[Math.floor(other * paths.length)] as string
    const key = keys[Math.floor(other * keys.length)] as string
    const [owner, place] = [any(consumer), any(api)]
    switch (kind) {
      case 'create api':
        return insert(api, apiRow(path, ++this.#revision))
      case 'point api elsewhere':
        return revise(place, api, upstream(++this.#revision))
      case 'delete api':
        return remove(place, api)
      case 'guard api':
        return place && insert(plugin, guard(place))
      case 'number requests':
        return place && insert(plugin, numbering(place))
      case 'guard all apis':
        return insert(plugin, { ...guard({}), api_id: null })
      case 'number all requests':
        return insert(plugin, { ...numbering({}), api_id: null })
      case 'lock out':
        return owner && insert(plugin, restricting(owner, null, nobodysAddress))
      case 'let in':
        return owner && place && insert(plugin, restricting(owner, place, clientAddress))
      case 'open api':
        return remove(any(plugin), plugin)
      case 'create consumer':
        return insert(consumer, { username: usernames[Math.floor(other * usernames.length)] as string })
      case 'delete consumer':
        return remove(owner, consumer)
      case 'give key':
        return owner && insert(credential, { consumer_id: owner.id as string, key })
      case 'change key':
        return revise(any(credential), credential, { key })
      case 'take key':
        return remove(any(credential), credential)
      default:
        return undefined
    }
  }

  /**
   * By psql, while it is asked for: an API gets a guard, and a key that changes hands; then both go at once. Whoever has
   * read the one before that and the other after it knows what never was.
   */
  #guardForAMoment([one, other, pause]: Operation['draws']): void {
    const { datastore, scheduler, chance } = this.#world
    const guarded = this.guard(one, other)
    if (!guarded) return
    const { place, key, handOn } = guarded
    for (let i = 0; i < 10; i++) {
      scheduler.after(momentMs * (0.2 + chance.requests.fraction()), () => {
        const node = this.#world.running(chance.requests.fraction())
        if (node?.serves()) this.#world.ask(node, i, guarded.question)
      })
    }
    const againMs = momentMs * (0.3 + 0.4 * pause)
    for (const i of [0, 1]) scheduler.after(againMs + 2 * i, handOn)
    scheduler.after(momentMs * (0.7 + 0.4 * pause), () =>
      datastore.commit(null, (changes) => {
        // Now and then the guard stays: then it matters who has the key in mind still.
        if (pause < 0.6) for (const row of guardsOf(place, changes)) changes.remove('plugins', row)
        for (const row of changes.rows('keyauth_credentials', { key }))
          changes.remove('keyauth_credentials', row)
      }),
    )
  }

  /** By psql: an API gets a guard, and somebody a key. Undefined when there is no API, or nobody to hand it on to. */
  guard(one: number, other: number): Guarded | undefined {
    const { datastore, trace } = this.#world
    const tables = datastore.head.tables
    const [place, owners] = [pickOf(rowsOf(tables, 'apis'), one), rowsOf(tables, 'consumers')]
    const [owner, next] = owners
    if (!place || !owner || !next) return undefined
    trace.say('psql', 'guards an api for a moment')
    const key = keys[Math.floor(other * keys.length)] as string
    const made = () => ({ id: datastore.uuid(), created_at: datastore.now() })
    datastore.commit(null, (changes) => {
      for (const row of changes.rows('keyauth_credentials', { key }))
        changes.remove('keyauth_credentials', row)
      if (!changes.rows('apis').some(({ id }) => id === place.id)) return
      if (guardsOf(place, changes).length === 0) changes.insert(plugin, guard(place), made())
      changes.insert(credential, { consumer_id: owner.id as string, key }, made())
    })
    const handOn = () =>
      datastore.commit(null, (changes) => {
        const [held] = changes.rows('keyauth_credentials', { key })
        const to = held?.consumer_id === owner.id ? next : owner
        const isThere = changes.rows('consumers').some(({ id }) => id === to.id)
        if (held && isThere) changes.update(credential, held, { ...held, consumer_id: to.id as string })
      })
    const path = String(place.request_path)
    const [question, keyless] = [questionOf(path, key), questionOf(path, undefined)]
    return { place, key, question, keyless, handOn: () => void handOn() }
  }

  /** By psql: no node knows of it until the datastore says so. Several rows, one transaction. */
  changePast(rows: number, draw = 0): void {
    const { datastore } = this.#world
    datastore.commit(null, (changes) => {
      for (let i = 0; i < rows; i++) {
        const apis = changes.rows('apis')
        const old = apis[Math.floor(draw * 7 + i) % apis.length]
        if (old) changes.update(api, old, { ...old, ...upstream(++this.#revision) })
      }
    })
  }
}

/** What a write takes, about. */
const writeMs = 25
const actor = 'simulation'
/** Long enough for a node to hear of the one change, and to read something before it hears of the next. */
const momentMs = 30

function guardsOf({ id }: Row, changes: Changes): Row[] {
  return changes.rows('plugins', { api_id: id as string, name: 'key-auth' })
}

function pickOf<T>(list: readonly T[], draw: number): T | undefined {
  return list[Math.floor(draw * list.length)]
}
const nobodysAddress = '10.8.8.8'

function upstream(revision: number): Row {
  return { upstream_url: `http://r${revision}.example` }
}

function apiRow(path: string, revision: number): Row {
  return { name: path.slice(1), request_path: path, ...upstream(revision) }
}

function numbering({ id }: Row): Row {
  const config = { header_name: 'X-Number', generator: 'uuid#counter', echo_downstream: false }
  return { name: 'correlation-id', api_id: id as string, config }
}

/** A consumer is let in from one address alone, at one API or at all. */
function restricting({ id }: Row, api: Row | null, address: string): Row {
  const api_id = (api?.id ?? null) as string | null
  return { name: 'ip-restriction', api_id, consumer_id: id as string, config: { whitelist: [address] } }
}

function guard({ id }: Row): Row {
  return {
    name: 'key-auth',
    api_id: id as string,
    config: { key_names: ['apikey'], hide_credentials: false },
  }
}
