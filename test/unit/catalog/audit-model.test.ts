import { hash } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import type { Row } from '../../../src/base/json.ts'
import type { AuditReport, Finding } from '../../../src/catalog/audit.ts'
import { cacheKey, familyOf } from '../../../src/catalog/keys.ts'
import type { Entity } from '../../../src/entities/define.ts'
import { allTargets, ask, calmStep, Run, step, type Target } from './program.ts'
import {
  api,
  byApi,
  byKey,
  create,
  credential,
  type Datastore,
  plugin,
  remove,
  rowOf,
  uuid,
} from './world.ts'

/** A fault, as it leaves a node whose code or memory is broken: each of a key that programs leave alone. */
type Plant = (run: Run) => Promise<Finding[]>

const atKey = (key: string): Target => ({ entity: credential, lookup: byKey, values: [key] })
const listOf = (n: number): Target => ({ entity: plugin, lookup: byApi, values: [uuid(n), null] })
const cred = (n: number, more: Row = {}): Row => rowOf(n, { key: `v${n}`, ...more })
const plug = (n: number, name: string, more: Row = {}): Row =>
  rowOf(n, { name, api_id: uuid(n), consumer_id: null, ...more })

const keyOf = ({ lookup, values }: Target) => cacheKey(lookup, values)
const wrong = (family: string, ...where: string[]): Finding[] =>
  where.map((one) => ({ where: one, family, count: 1 }))
const family = credential.name

/** Makes it so, and lets everyone know. */
function write(run: Run, entity: Entity, row: Row): number {
  const position = run.world.datastore.commit(create(entity, row))
  run.world.follower.apply()
  return position
}

/** Makes it so, and nobody hears of it. */
function writeUnheard(run: Run, entity: Entity, id: Row, row: Row | null): void {
  const { datastore, follower } = run.world
  datastore.hide(datastore.commit(row ? create(entity, row) : remove(entity, id)))
  follower.apply()
}

async function lie(run: Run, { entity, lookup, values }: Target, rows: readonly Row[]): Promise<void> {
  const key = cacheKey(lookup, values)
  run.world.datastore.lies.set(key, rows)
  await run.world.catalog.find(entity, lookup, values)
  run.world.datastore.lies.delete(key)
}

const look = async (run: Run, worker: number, target: Target) => {
  const catalog = run.workers[worker]?.worker
  if (catalog) await ask(catalog, target)
}

const plants: Readonly<Record<string, Plant>> = {
  async 'another row on the node'(run) {
    write(run, credential, cred(80))
    await lie(run, atKey('v80'), [cred(80, { revision: 'false' })])
    return wrong(family, 'node')
  },
  async 'an absence on the node of what is there'(run) {
    write(run, credential, cred(81))
    await lie(run, atKey('v81'), [])
    return wrong(family, 'node')
  },
  async 'a row on the node that is not there'(run) {
    await lie(run, atKey('v82'), [cred(82)])
    return wrong(family, 'node')
  },
  async 'a list on the node that lacks a row'(run) {
    write(run, plugin, plug(83, 'key-auth'))
    await lie(run, listOf(83), [])
    return wrong('plugins', 'node')
  },
  async 'a list in other order'(run) {
    const second = { ...plug(84, 'b'), id: uuid(184) }
    write(run, plugin, plug(84, 'a'))
    write(run, plugin, second)
    const truth = run.world.datastore.truthAt(run.world.datastore.head.position, plugin, byApi, [
      uuid(84),
      null,
    ])
    await lie(run, listOf(84), (truth as readonly Row[]).toReversed())
    return wrong('plugins', 'node')
  },
  async 'a wrong row that the node has told to its workers'(run) {
    write(run, credential, cred(85))
    await lie(run, atKey('v85'), [cred(85, { revision: 'false' })])
    for (const worker of [0, 1]) await look(run, worker, atKey('v85'))
    return wrong(family, 'node', 'worker 1', 'worker 2')
  },
  async 'an event that nobody heard of'(run) {
    write(run, credential, cred(86))
    await look(run, 0, atKey('v86'))
    writeUnheard(run, credential, cred(86), cred(86, { revision: 'unheard' }))
    return wrong(family, 'node', 'worker 1')
  },
  async 'a creation that nobody heard of'(run) {
    await look(run, 1, atKey('v87'))
    writeUnheard(run, credential, cred(87), cred(87))
    return wrong(family, 'node', 'worker 2')
  },
  async 'a removal that one worker did not hear of'(run) {
    write(run, credential, cred(88))
    await look(run, 0, atKey('v88'))
    await look(run, 1, atKey('v88'))
    await run.withhold(1, 'changes', () => {
      run.world.datastore.commit(remove(credential, cred(88)))
      run.world.follower.apply()
    })
    const { position } = run.world.catalog.applied
    run.tell(1, { kind: 'changes', position, operations: [], patches: [] })
    return wrong(family, 'worker 2')
  },
  async 'an entry of a worker alone that is wrong'(run) {
    write(run, credential, cred(89))
    await lie(run, atKey('v89'), [cred(89, { revision: 'false' })])
    await look(run, 0, atKey('v89'))
    await run.withhold(0, 'forget', () => run.world.catalog.dropKey('keyauth_credentials:v89'))
    return wrong(family, 'worker 1')
  },
  async 'a row that a worker alone has changed'(run) {
    write(run, plugin, plug(90, 'acl'))
    await look(run, 1, listOf(90))
    const position = write(run, credential, cred(190))
    const key = keyOf(listOf(90))
    const row = plug(90, 'other')
    run.tell(1, {
      ...{ kind: 'changes', position, patches: [] },
      operations: [{ kind: 'include', key, position, row }],
    })
    return wrong('plugins', 'worker 2')
  },
  async 'an API that nobody heard of'(run) {
    writeUnheard(run, api, rowOf(91, {}), rowOf(91, { name: 'unheard' }))
    return wrong('apis', 'node', 'worker 1', 'worker 2')
  },
  async 'an API that is gone'(run) {
    write(run, api, rowOf(92, { name: 'gone' }))
    writeUnheard(run, api, rowOf(92, {}), null)
    return wrong('apis', 'node', 'worker 1', 'worker 2')
  },
  async 'an API that changed'(run) {
    write(run, api, rowOf(93, { name: 'old' }))
    writeUnheard(run, api, rowOf(93, {}), rowOf(93, { name: 'new' }))
    return wrong('apis', 'node', 'worker 1', 'worker 2')
  },
  async 'an API that one worker routes elsewhere'(run) {
    write(run, api, rowOf(94, { name: 'right' }))
    const { position } = run.world.catalog.applied
    const row = rowOf(94, { name: 'elsewhere' })
    run.tell(0, { kind: 'changes', position, operations: [], patches: [{ id: uuid(94), row }] })
    return wrong('apis', 'worker 1')
  },
  async 'an API that one worker does not route'(run) {
    write(run, api, rowOf(95, { name: 'right' }))
    const { position } = run.world.catalog.applied
    run.tell(1, { kind: 'changes', position, operations: [], patches: [{ id: uuid(95), row: null }] })
    return wrong('apis', 'worker 2')
  },
  async 'an API that one worker alone routes'(run) {
    const { position } = run.world.catalog.applied
    const row = rowOf(96, { name: 'made up' })
    run.tell(1, { kind: 'changes', position, operations: [], patches: [{ id: uuid(96), row }] })
    return wrong('apis', 'worker 2')
  },
}

/** Findings of several faults, as one report has them. */
function together(findings: readonly Finding[]): Finding[] {
  const groups = Map.groupBy(findings, ({ where, family }) => `${where} ${family}`)
  return [...groups.values()].map((group) => ({ ...(group[0] as Finding), count: group.length }))
}

const sha = (text: string) => hash('sha256', text)

/** From the description of `digests`, those of all that may have been checked: of some of the keys, or of all. */
function digestsOf(values: ReadonlyMap<string, unknown>): string[] {
  let sums = [0n]
  for (const [key, value] of values) {
    const term = BigInt(`0x${sha(`${sha(JSON.stringify(value))} ${key}`)}`)
    sums = sums.flatMap((sum) => [sum, (sum + term) % 2n ** 256n])
  }
  return sums.map((sum) => sum.toString(16).padStart(64, '0'))
}

/** By family, what is in the tables at a position under all keys that programs know. */
function truthAt(position: number, datastore: Datastore): ReadonlyMap<string, ReadonlyMap<string, unknown>> {
  const lookups = allTargets.map(({ entity, lookup, values }): [string, unknown] => [
    cacheKey(lookup, values),
    datastore.truthAt(position, entity, lookup, values),
  ])
  const rows = new Map(datastore.rowsAt(position, api).map((row) => [row.id, row]))
  const apis = [1, 2, 3, 4, 5].map((n): [string, unknown] => [uuid(n), rows.get(uuid(n)) ?? null])
  return new Map([['apis', new Map(apis)], ...families(lookups)])
}

function families(values: readonly [string, unknown][]): [string, ReadonlyMap<string, unknown>][] {
  const groups = Map.groupBy(values, ([key]) => familyOf(key))
  return [...groups].map(([name, some]) => [name, new Map(some)])
}

/** A report says what the tables held at its very position, if that is still of their history. */
function expectTruth({ position, digest, digests }: AuditReport, datastore: Datastore): void {
  if (datastore.stampAt(position).digest !== digest) return
  const truth = truthAt(position, datastore)
  for (const [name, told] of Object.entries(digests))
    expect(told, `${name} at ${position}`).to.be.oneOf(digestsOf(truth.get(name) ?? new Map()))
}

describe('an audit against a model', () => {
  it('finds nothing wrong where nothing is, whatever happens meanwhile, and tells what the tables hold', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 150 }), async (program) => {
        const run = new Run()
        await run.start()
        try {
          for (const [n, one] of program.entries()) {
            if (n % 20 === 10) await run.step({ do: 'audit' })
            await run.step(one)
          }
          await run.finish()
          const { datastore, catalog } = run.world
          const last = await catalog.audit(10_000)
          for (const report of [...(await Promise.all(run.audits)), last]) {
            expect(report?.wrong ?? []).to.deep.equal([])
            if (report) expectTruth(report, datastore)
          }
          expect(run.errors, 'also of audits that began anew').to.deep.equal([])
          expect(last).to.include({ ...datastore.head, unsettled: 0, repaired: 0 })
          for (const [name, values] of truthAt(last.position, datastore))
            if (name !== 'apis') expect(last.digests[name]).to.equal(digestsOf(values).at(-1))
        } finally {
          run.close()
        }
      }),
      { numRuns: 300 },
    )
  }).timeout(120_000)

  it('finds and repairs all that is wrong and nothing else, whatever happens meanwhile', async () => {
    const names = fc.uniqueArray(fc.constantFrom(...Object.keys(plants)), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(names, fc.array(calmStep, { maxLength: 100 }), async (planted, program) => {
        const run = new Run({ everywhere: false })
        await run.start({ evicting: false })
        try {
          run.world.datastore.answers = () => undefined
          const expected: Finding[] = []
          for (const name of planted) expected.push(...((await plants[name]?.(run)) ?? []))
          run.world.datastore.answers = undefined
          await run.step({ do: 'audit' })
          for (const one of program) await run.step(one)
          await run.finish()
          const report = await run.audits[0]
          expect(report?.wrong).to.have.deep.members(together(expected))
          expect(report?.repaired).to.equal(expected.length)
          expect((await run.world.catalog.audit(10_000)).wrong).to.deep.equal([])
        } finally {
          run.close()
        }
      }),
      { numRuns: 300 },
    )
  }).timeout(120_000)

  for (const [name, plant] of Object.entries(plants)) {
    it(`finds ${name}`, async () => {
      const run = new Run()
      await run.start({ evicting: false })
      try {
        run.world.datastore.answers = () => undefined
        const expected = await plant(run)
        const report = await run.world.catalog.audit(10_000)
        expect(report.wrong).to.have.deep.members(expected)
        expect(report.repaired).to.equal(expected.length)
        await run.finish()
      } finally {
        run.close()
      }
    })
  }
})
