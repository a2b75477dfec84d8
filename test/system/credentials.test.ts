// Credentials of all kinds on three real nodes: what is changed about one through any of them counts at all of them, for
// each of their workers, at the moment at which the write returns. Clients never stop to ask at each node, and hold every
// answer against what was true at some moment of the request.
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { type CredentialKind, credentialKinds, type Shown } from '../support/credentials.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { Answer, NodeProcess } from '../support/node-process.ts'
import { basic, oldHash } from '../support/passwords.ts'
import { Truth } from '../support/truth.ts'

type Consumer = 'bob' | 'ann'
const consumers: readonly Consumer[] = ['bob', 'ann']
const names = ['first', 'second'] as const
const secrets = ['one', 'two'] as const

/** What there is of one kind. */
interface State {
  readonly credentials: readonly {
    readonly name: string
    readonly secret: string
    readonly of: Consumer
  }[]
  /** What the consumers are called. */
  readonly called: Readonly<Record<Consumer, string>>
}

const nothing: State = { credentials: [], called: { bob: 'bob', ann: 'ann' } }
const one: State = { ...nothing, credentials: [{ name: 'first', secret: 'one', of: 'bob' }] }
const changed = (values: Partial<State['credentials'][number]>): State => ({
  ...one,
  credentials: one.credentials.map((credential) => ({ ...credential, ...values })),
})

/** Whom a request is let in as, or the status that refuses it. */
function outcomeIn({ credentials, called }: State, kind: CredentialKind, shown: Shown): string {
  const isMeant = (of: Consumer) => !kind.isShared || of === shown.by
  const found = credentials.find(({ name, of }) => name === shown.name && isMeant(of))
  if (!found || (kind.secret && found.secret !== shown.secret)) return String(kind.refused)
  return called[found.of]
}

describe('a credential, on three nodes under traffic', function () {
  this.timeout(120_000)
  let group: NodeGroup
  let nodes: readonly NodeProcess[]

  before(async () => {
    group = await NodeGroup.make()
    for (let i = 0; i < 3; i++) await group.start({ workers: 2, cluster: { ack_timeout: '5s' } })
    nodes = group.nodes
    await until(async () => (await nodes[0]?.ask('GET', '/cluster?status=alive'))?.body.total === 3)
    // One after the other: on a busy machine some of dozens at once would not get a connection in time.
    for (const kind of credentialKinds) for (const name of names) await guard(kind, name)
  })
  after(() => group?.remove())

  /** An API of its own. */
  async function guard({ plugin, after, config }: CredentialKind, name: string): Promise<void> {
    const api = `${plugin}-${name}`
    await write('POST', '/apis', { name: api, request_path: `/${api}`, upstream_url: group.upstream.url })
    if (after) await write('POST', `/apis/${api}/plugins`, { name: after })
    await write('POST', `/apis/${api}/plugins`, { name: plugin, config: config?.(name) ?? {} })
  }

  let writes = 0
  /** By each node in turn; all of them have it when it returns. */
  async function write(method: string, path: string, body?: JsonObject): Promise<Answer> {
    const answer = await (nodes[writes++ % nodes.length] as NodeProcess).ask(method, path, body)
    expect(answer.status, `${method} ${path} ${answer.text}`).within(200, 204)
    expect(answer.headers.get('x-troop-applied')).equal('3/3')
    return answer
  }

  /** What a node makes of a request. */
  async function outcomeAt(
    node: NodeProcess,
    kind: CredentialKind,
    shown: Shown,
    more: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const headers = { ...kind.show(shown), ...more }
    const { status, body } = await node.call(`/${kind.plugin}-${shown.name}`, { headers })
    return status === 200 ? String(body.headers['x-consumer-username']) : String(status)
  }

  for (const kind of credentialKinds) {
    const { plugin } = kind
    /** All that is ever shown. */
    const showable: readonly Shown[] = names.flatMap((name) =>
      (kind.secret ? secrets : [secrets[0]]).flatMap((secret) =>
        (kind.isShared ? consumers : [consumers[0]]).map((by) => ({ name, secret, by: by as string })),
      ),
    )

    describe(`of ${plugin}`, () => {
      const truth = new Truth<State>(nothing)
      const people = new Map<Consumer, string>()
      /** What is in the column that says whose it is. */
      const owners = new Map<Consumer, string>()
      let id: string
      let clients: Clients

      before(() => {
        clients = new Clients(nodes, async (node, i, more) => {
          const shown = showable[i % showable.length] as Shown
          const { found, states } = await truth.during(() => outcomeAt(node, kind, shown, more))
          const expected = states.map((state) => outcomeIn(state, kind, shown))
          const fault = `${JSON.stringify(shown)}: ${found} instead of ${expected.join(' or ')}`
          return { isInChange: states.length > 1, ...(!expected.includes(found) && { fault }) }
        })
      })
      after(async () => {
        await clients.stop()
        expect(clients.faults).deep.equal([])
        // All were asked while something changed, so that they could have been wrong.
        for (const node of nodes) expect(clients.inChange(node)).greaterThan(0)
      })

      beforeEach(async () => {
        for (const username of consumers) {
          const { id } = (await write('POST', '/consumers', { username })).body
          people.set(username, id)
          const { path, attributes } = kind.needs?.(username) ?? {}
          const needed = path && (await write('POST', `/consumers/${username}/${path}`, attributes))
          owners.set(username, kind.collection && needed ? needed.body.id : id)
        }
      })
      afterEach(async () => {
        for (const consumer of people.keys()) await removeConsumer(consumer)
        await truth.change(nothing, async () => {})
      })

      async function removeConsumer(consumer: Consumer): Promise<void> {
        const credentials = truth.newest.credentials.filter(({ of }) => of !== consumer)
        await truth.change({ ...truth.newest, credentials }, () =>
          write('DELETE', `/consumers/${people.get(consumer)}`),
        )
        people.delete(consumer)
      }

      const collection = (of: Consumer) => kind.collection?.path ?? `/consumers/${of}/${kind.path ?? plugin}`
      const make = async (of: Consumer) => {
        const attributes = { [kind.name]: 'first', ...(kind.secret && { [kind.secret]: 'one' }) }
        const owner = kind.collection && { [kind.collection.owner]: owners.get(of) as string }
        const body = { ...attributes, ...kind.collection?.attributes, ...owner }
        id = (await write('POST', collection(of), body)).body.id
      }
      const patch = (values: JsonObject) => write('PATCH', `${collection('bob')}/${id}`, values)
      const remove = async () => write('DELETE', `${collection('bob')}/${id}`)

      /** Every node, and each worker as far as the system deals connections out, does as is true in `state`. */
      async function expectTruthOf(state: State, more: Readonly<Record<string, string>> = {}): Promise<void> {
        const apart = { ...more, connection: 'close' }
        const outcomes = nodes.flatMap((node, n) =>
          showable.map(async (shown) => {
            const calls = Array.from({ length: 4 }, () => outcomeAt(node, kind, shown, apart))
            const found = [...new Set(await Promise.all(calls))].join(' or ')
            return [n, shown, found] as const
          }),
        )
        const expected = nodes.flatMap((_, n) =>
          showable.map((shown) => [n, shown, outcomeIn(state, kind, shown)] as const),
        )
        expect(await Promise.all(outcomes)).deep.equal(expected)
        expect(clients.faults).deep.equal([])
      }
      const expectTruth = () => expectTruthOf(truth.newest)

      /** No node holds what is not there; what is may be held by workers alone. */
      async function expectForgotten(): Promise<void> {
        if (kind.family === undefined) return
        const known = truth.newest.credentials.map(({ name }) => name)
        const gone = names.filter((name) => !known.includes(name))
        for (const node of nodes)
          for (const name of gone)
            expect((await node.ask('GET', `/cache/${kind.family}:${name}`)).status, name).equal(404)
      }

      /** Whatever was true before is cached everywhere, and nothing is asked for between the write and the nodes. */
      async function becomes(next: State, change: () => Promise<unknown>): Promise<void> {
        await truth.change(next, change)
        await expectTruth()
        await expectForgotten()
      }

      const made = () => becomes(one, () => make('bob'))

      it('is asked for, and lets its consumer in as soon as it is there', async () => {
        for (const node of nodes) {
          const { status } = await node.call(`/${plugin}-first`)
          expect(status).equal(401)
        }
        await expectTruth()
        await made()
      })

      it('that is deleted lets nobody in [contract 175, 200, 238, 256, 336]', async () => {
        await made()
        await becomes(nothing, remove)
      })

      it('that is renamed lets in by its new name alone [contract 176, 200, 238, 256, 337]', async () => {
        await made()
        await becomes(changed({ name: 'second' }), () => patch({ [kind.name]: 'second' }))
      })

      it('whose consumer is deleted lets nobody in [contract 177, 200, 238, 256]', async () => {
        await made()
        await removeConsumer('bob')
        await expectTruth()
        await expectForgotten()
      })

      it('that is taken from its consumer and given to another one is his', async () => {
        await made()
        await becomes(nothing, remove)
        await becomes(changed({ of: 'ann' }), () => make('ann'))
        const renamed = { ...changed({ of: 'ann' }), called: { bob: 'bob', ann: 'anna' } }
        await becomes(renamed, () => write('PATCH', '/consumers/ann', { username: 'anna' }))
      })

      it('that is moved to another consumer with SQL alone is his for whoever names the position', async () => {
        await made()
        const column = kind.collection?.owner ?? 'consumer_id'
        await truth.change(changed({ of: 'ann' }), async () => {
          await group.database.query(`update ${kind.entity} set ${column} = $1`, [owners.get('ann')])
          const [head] = await group.database.query('select max(position) as position from events')
          await expectTruthOf(changed({ of: 'ann' }), { 'x-troop-min-position': String(head.position) })
        })
        await expectTruth()
      })

      if (!kind.secret) return
      const { secret } = kind
      it(`with another ${secret} is proven by that alone`, async () => {
        await made()
        await becomes(changed({ secret: 'two' }), () => patch({ [secret]: 'two' }))
      })
    })
  }

  it('of 0.8 with a SHA-1 of its password is hashed anew at its first use, once', async () => {
    const [node] = nodes as [NodeProcess]
    const { id } = (await write('POST', '/consumers', { username: 'bob' })).body
    const insert = 'insert into basicauth_credentials (consumer_id, username, password) values ($1, $2, $3)'
    await group.database.query(insert, [id, 'first', oldHash('sesame', id)])
    const [head] = await group.database.query('select max(position) as position from events')
    const since = { 'x-troop-min-position': String(head.position), connection: 'close' }
    const password = async () => (await node.ask('GET', '/consumers/bob/basic-auth')).body.data[0].password
    const statuses = async (password: string) => {
      const headers = { authorization: basic('first', password), ...since }
      const calls = nodes.flatMap((node) => [1, 2, 3].map(() => node.call('/basic-auth-first', { headers })))
      return [...new Set((await Promise.all(calls)).map(({ status }) => status))]
    }
    expect(await statuses('wrong')).deep.equal([403])
    expect(await password()).length(40)
    expect(await statuses('sesame')).deep.equal([200])
    await until(async () => (await password()).startsWith('$argon2id$'))
    expect(await statuses('sesame')).deep.equal([200])
    expect(await statuses('wrong')).deep.equal([403])
    const { data } = (await node.ask('GET', '/cluster/events?entity=basicauth_credentials&operation=update'))
      .body
    const renewed = data.filter(({ actor }: JsonObject) => actor === 'plugins')
    expect(renewed.map(({ changed }: JsonObject) => changed)).deep.equal([['password']])
    await write('DELETE', '/consumers/bob')
  })
})

/** Two at each node, one of them with a connection for each request, that ask until they are stopped. */
class Clients {
  readonly #found: string[] = []
  readonly #inChange = new Map<NodeProcess, number>()
  readonly #loops: Promise<void>[]
  #isStopping = false

  constructor(nodes: readonly NodeProcess[], ask: Ask) {
    this.#loops = nodes.flatMap((node) =>
      [{}, { connection: 'close' }].map((headers) => this.#loop(node, ask, headers)),
    )
  }

  /** What they were told that was not true; a few of it. */
  get faults(): readonly string[] {
    return this.#found
  }

  /** How often they were answered while something changed. */
  inChange(node: NodeProcess): number {
    return this.#inChange.get(node) ?? 0
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all(this.#loops)
  }

  async #loop(node: NodeProcess, ask: Ask, headers: Readonly<Record<string, string>>): Promise<void> {
    for (let i = 0; !this.#isStopping; i++) {
      const told = await ask(node, i, headers).catch((error) => ({ isInChange: false, fault: String(error) }))
      if (told.isInChange) this.#inChange.set(node, this.inChange(node) + 1)
      if (told.fault !== undefined && this.#found.length < faultsKept) this.#found.push(told.fault)
      await systemClock.sleep(pauseMs)
    }
  }
}

/** The `i`th question to a node; with what is wrong with its answer, if something is. */
type Ask = (
  node: NodeProcess,
  i: number,
  headers: Readonly<Record<string, string>>,
) => Promise<{ readonly isInChange: boolean; readonly fault?: string }>

const faultsKept = 5

/** Leaves the machine to the nodes: all of it runs on two cores. */
const pauseMs = 3
