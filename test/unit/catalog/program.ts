// Programs of writes, lookups and faults, run against the real agent, links and two workers.
import { expect } from 'chai'
import fc from 'fast-check'
import { systemClock } from '../../../src/base/clock.ts'
import { codeOf, TroopError } from '../../../src/base/errors.ts'
import { type Logger, silentLogger } from '../../../src/base/logger.ts'
import type { AuditReport } from '../../../src/catalog/audit.ts'
import { AgentLink, type LinkEnd, openLink, type ToWorker } from '../../../src/catalog/link.ts'
import { WorkerCatalog } from '../../../src/catalog/worker-catalog.ts'
import type { Entity, Lookup } from '../../../src/entities/define.ts'
import { KeptRows } from '../../support/projection.ts'
import {
  api,
  byApi,
  byKey,
  create,
  credential,
  makeWorld,
  plugin,
  remove,
  rowOf,
  settle,
  uuid,
  type World,
  type Write,
} from './world.ts'

// Few keys and few rows, so that events, fills and lookups meet on the same ones.
const ids = fc.integer({ min: 1, max: 5 })
const key = fc.integer({ min: 1, max: 3 })

const write = fc.record({
  what: fc.constantFrom('api' as const, 'plugin' as const, 'credential' as const, 'delete' as const),
  id: ids,
  key,
})
/** One step of a program, whatever it is. */
export const step = fc.oneof(
  often(5, { do: fc.constant('write' as const), writes: fc.array(write, { minLength: 1, maxLength: 3 }) }),
  often(5, { do: fc.constant('apply' as const), count: fc.integer({ min: 1, max: 3 }) }),
  often(8, { do: fc.constant('look' as const), worker: fc.nat(1), many: fc.boolean(), key }),
  often(8, { do: fc.constant('answer' as const), nth: fc.nat(5), age: fc.nat(2) }),
  often(1, { do: fc.constant('refuse' as const), nth: fc.nat(5), away: fc.boolean() }),
  often(1, { do: fc.constant('purge' as const) }),
  often(1, { do: fc.constant('forget' as const), key }),
  often(1, { do: fc.constant('rewind' as const), back: fc.integer({ min: 1, max: 4 }) }),
  often(6, { do: fc.constant('settle' as const), ticks: fc.integer({ min: 1, max: 12 }) }),
  often(1, { do: fc.constant('audit' as const) }),
)

/** Such steps after which what is planted before them is still there to be found. */
export const calmStep = step.filter(({ do: what }) => !['refuse', 'purge', 'rewind'].includes(what))

export type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

function often<T>(weight: number, shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return { weight, arbitrary: fc.record(shape) as fc.Arbitrary<T> }
}

export interface Target {
  readonly entity: Entity
  readonly lookup: Lookup
  readonly values: readonly (string | null)[]
}

const targetOf = (many: boolean, n: number): Target =>
  many
    ? { entity: plugin, lookup: byApi, values: [uuid(n), null] }
    : { entity: credential, lookup: byKey, values: [`k${n}`] }

/** All that a program looks up. */
export const allTargets = [1, 2, 3].flatMap((n) => [targetOf(true, n), targetOf(false, n)])

interface RunningWorker {
  readonly worker: WorkerCatalog
  readonly link: AgentLink
  /** The agent's. */
  readonly end: LinkEnd
  /** What its router holds. */
  readonly projection: KeptRows
}

/** Runs one program against the real agent, links and two workers, checking every lookup as it is answered. */
export class Run {
  readonly world: World
  readonly workers: RunningWorker[] = []
  readonly faults: string[] = []
  /** What the agent has logged as errors. */
  readonly errors: string[] = []
  readonly lookups: Promise<void>[] = []
  /** Undefined when the datastore was refused to it. */
  readonly audits: Promise<AuditReport | undefined>[] = []
  #histories = 0
  #revision = 0
  readonly #everywhere: boolean

  /** @param everywhere  whether there are plugins for all APIs, whose events change every list */
  constructor({ filtered = false, everywhere = true } = {}) {
    this.#everywhere = everywhere
    const logger: Logger = {
      ...silentLogger,
      scope: () => logger,
      error: (sentence, fields) => void this.errors.push(`${sentence} ${JSON.stringify(fields)}`),
    }
    // An audit waits between batches; here the world goes on by steps, not by time.
    const clock = { ...systemClock, sleep: settle }
    this.world = makeWorld({ logger, clock, filterKeysMax: filtered ? 100 : 0 })
  }

  async start({ evicting = true } = {}) {
    await this.world.follower.load('start')
    for (let n = 0; n < 2; n++) {
      const ends = openLink()
      const link = new AgentLink({
        end: ends.agent,
        catalog: this.world.catalog,
        logger: silentLogger,
        onLost: (reason) => this.faults.push(reason),
      })
      const projection = new KeptRows()
      // Small enough for evictions in a worker that the agent knows nothing of.
      const worker = new WorkerCatalog({
        end: ends.worker,
        projection,
        clock: systemClock,
        maxBytes: evicting && n === 1 ? 6_000 : 1_000_000,
      })
      await worker.ready
      this.workers.push({ worker, link, end: ends.agent, projection })
    }
    this.world.datastore.answers = undefined
  }

  async step(step: Step) {
    const { datastore, follower, catalog } = this.world
    switch (step.do) {
      case 'write':
        return void datastore.commit(...step.writes.map((one) => this.#writeOf(one)))
      case 'apply':
        return follower.apply(step.count)
      case 'look':
        return this.#look(step.worker, targetOf(step.many, step.key))
      case 'answer': {
        const question = datastore.questions.splice(step.nth % (datastore.questions.length || 1), 1)[0]
        // A primary never answers with less than was committed when it was asked; any replica may.
        const least = question?.source === 'primary' ? question.sent : 0
        const position = Math.max(least, datastore.head.position - step.age)
        return await question?.answer(this.#boundary(Math.min(position, datastore.head.position)))
      }
      case 'refuse': {
        const question = datastore.questions.splice(step.nth % (datastore.questions.length || 1), 1)[0]
        return await question?.fail(new TroopError(step.away ? 'datastore-away' : 'datastore-error', 'no'))
      }
      case 'purge':
        return catalog.purgeAll()
      case 'forget':
        return catalog.dropKey(`keyauth_credentials:k${step.key}`)
      case 'rewind':
        return await this.#rewind(step.back)
      case 'settle':
        for (let n = 0; n < step.ticks; n++) await settle()
        return
      case 'audit':
        return void this.audits.push(this.#audit())
    }
  }

  /** Everything answered and applied; then every lookup of every worker must equal the table. */
  async finish() {
    const { datastore, follower, catalog } = this.world
    datastore.answers = () => undefined
    for (let n = 0; n < 40 || datastore.questions.length > 0; n++) {
      for (const question of datastore.questions.splice(0)) await question.answer()
      follower.apply()
      await settle()
    }
    await Promise.all([...this.lookups, ...this.audits])
    const { position } = datastore.head
    for (const { worker, projection } of this.workers) {
      expect(worker.position()).to.equal(position)
      expect([...projection.byId.values()]).to.have.deep.members([...datastore.rowsAt(position, api)])
      // What is still in memory first, and then what has to be asked for.
      for (const target of allTargets) {
        const truth = datastore.truthAt(position, target.entity, target.lookup, target.values)
        expect(await ask(worker, target)).to.deep.equal(truth)
      }
    }
    expect(catalog.rows(api)).to.have.deep.members([...datastore.rowsAt(position, api)])
    expect(this.faults).to.deep.equal([])
    expect(this.errors.filter((line) => line.includes('in doubt'))).to.deep.equal([])
    // It may wait to be loaded again, or not be there at all.
    const { inUse, keys } = catalog.filter
    if (inUse) expect(keys).to.equal(datastore.rowsAt(position, credential).length)
  }

  /** As if the agent had told the worker so. */
  tell(index: number, message: ToWorker): void {
    const { end } = this.workers[index] as RunningWorker
    end.port.postMessage(message)
    Atomics.add(new BigInt64Array(end.counts), 0, 1n)
  }

  /** The worker does not get messages of this kind while `act` runs. */
  async withhold(index: number, kind: ToWorker['kind'], act: () => void | Promise<void>): Promise<void> {
    const { port } = (this.workers[index] as RunningWorker).end
    const post = port.postMessage.bind(port)
    const nothing: ToWorker = { kind: 'forget', key: 'nothing' }
    port.postMessage = (message: ToWorker) => post(message.kind === kind ? nothing : message)
    await act()
    port.postMessage = post
  }

  close() {
    for (const { worker, link } of this.workers) {
      worker.close()
      link.close()
    }
  }

  /** No lookup that starts after n was applied may answer with less than n, nor with what is not applied yet. */
  #look(index: number, target: Target) {
    const { catalog } = this.world
    const worker = this.workers[index]?.worker as WorkerCatalog
    const from = catalog.applied.position
    const history = this.#histories
    if (worker.position() !== from) this.faults.push(`worker at ${worker.position()}, agent at ${from}`)
    const check = (value: unknown) => {
      if (history !== this.#histories) return
      const to = catalog.applied.position
      if (!this.#wasTrue(target, value, from, to)) {
        this.faults.push(`${target.values[0]} was never ${JSON.stringify(value)} from ${from} to ${to}`)
      }
    }
    const answer = ask(worker, target)
    if (!(answer instanceof Promise)) return check(answer)
    const checked = answer.then(check, (error) => {
      if (codeOf(error) !== 'unknown') this.faults.push(String(error))
    })
    this.lookups.push(checked)
  }

  async #audit(): Promise<AuditReport | undefined> {
    try {
      return await this.world.catalog.audit(10_000)
    } catch (error) {
      if (!/^datastore-/.test(String(codeOf(error)))) this.faults.push(String(error))
      return undefined
    }
  }

  #wasTrue({ entity, lookup, values }: Target, value: unknown, from: number, to: number): boolean {
    for (let position = from; position <= to; position++) {
      const truth = this.world.datastore.truthAt(position, entity, lookup, values)
      if (JSON.stringify(truth) === JSON.stringify(value)) return true
    }
    return false
  }

  #writeOf({ what, id, key }: { what: string; id: number; key: number }): Write {
    const revision = ++this.#revision
    // One name for one row: a credential's key is unique, so each id has its own ones.
    if (what === 'api') return create(api, rowOf(id, { name: `api ${key}`, revision }))
    if (what === 'plugin')
      return create(
        plugin,
        // Now of one API, now of all.
        rowOf(id + 10, {
          ...{ name: `p${id}`, consumer_id: null, revision },
          api_id: this.#everywhere && revision % 4 === 0 ? null : uuid(key),
        }),
      )
    if (what === 'credential') return create(credential, rowOf(key + 20, { key: `k${key}`, revision }))
    const victims = [
      remove(api, rowOf(id, {})),
      remove(plugin, rowOf(id + 10, {})),
      remove(credential, rowOf(key + 20, {})),
    ]
    return victims[revision % 3] as Write
  }

  /** Readers see whole transactions only. */
  #boundary(position: number): number {
    const { datastore } = this.world
    let at = Math.max(0, position)
    while (at > 0 && datastore.transaction(at + 1).length === 0 && at < datastore.head.position) at--
    return at
  }

  async #rewind(back: number) {
    const { datastore, follower } = this.world
    const to = this.#boundary(datastore.head.position - back)
    this.#histories++
    datastore.rewind(to, `history ${this.#histories}`)
    // Reads that were sent before are answered by what is there now.
    await follower.load('other-history').catch(() => undefined)
    await follower.loaded()
  }
}

export function ask(worker: WorkerCatalog, { entity, lookup, values }: Target) {
  const view = worker.view()
  return lookup.many ? view.many(entity, lookup, ...values) : view.one(entity, lookup, ...values)
}
