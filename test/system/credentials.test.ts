// A node with two workers: what is changed about a credential, of any kind, counts for the very next request to either
// of them.
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { credentialKinds, credentialOf } from '../support/credentials.ts'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { basic, oldHash } from '../support/passwords.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { Upstream } from '../support/upstream.ts'

describe('a credential', () => {
  let database: TestDatabase
  let upstream: Upstream
  let node: NodeProcess

  before(async () => {
    database = await testDatabase()
    upstream = await new Upstream().start()
    node = await NodeProcess.start(database)
    for (const { plugin } of credentialKinds) {
      const api = { name: plugin, request_path: `/${plugin}`, upstream_url: upstream.url }
      await ask(201, 'POST', '/apis', api)
      await ask(201, 'POST', `/apis/${plugin}/plugins`, { name: plugin })
    }
  })

  after(async () => {
    await node?.remove()
    await upstream?.stop()
    await database?.drop()
  })

  beforeEach(async () => {
    for (const username of ['bob', 'ann']) await ask(201, 'POST', '/consumers', { username })
  })
  afterEach(() => database.query('delete from consumers'))

  async function ask(status: number, ...request: Parameters<NodeProcess['ask']>) {
    const answer = await node.ask(...request)
    expect(answer.status, `${request.join(' ')} ${answer.text}`).equal(status)
    return answer.body
  }

  /** What comes back, from both workers: each call has a connection of its own, and the system deals these out. */
  async function outcome(plugin: string, shown: Readonly<Record<string, string>>): Promise<string> {
    const headers = { ...shown, connection: 'close' }
    const calls = Array.from({ length: 6 }, () => node.call(`/${plugin}`, { headers }))
    const outcomes = (await Promise.all(calls)).map(({ status, body }) =>
      status === 200 ? String(body.headers['x-consumer-username']) : String(status),
    )
    return [...new Set(outcomes)].join(' or ')
  }

  for (const kind of credentialKinds) {
    const { plugin, family } = kind
    const collection = (consumer: string) => `/consumers/${consumer}/${plugin}`
    const make = async (name: string, secret: string, consumer = 'bob') =>
      (await ask(201, 'POST', collection(consumer), credentialOf(kind, name, secret))).id as string
    const showing = (name: string, secret: string) => outcome(plugin, kind.show(name, secret))
    const cached = async (name: string) => (await node.ask('GET', `/cache/${family}:${name}`)).status

    it(`of ${plugin} is asked for, and lets its consumer in as soon as it is there`, async () => {
      expect(await outcome(plugin, {})).equal('401')
      expect(await showing('first', 'one')).equal('403')
      await make('first', 'one')
      expect(await showing('first', 'one')).equal('bob')
      expect(await cached('first')).equal(200)
    })

    it(`of ${plugin} that is deleted lets nobody in [contract 175, 200, 238, 256]`, async () => {
      const id = await make('first', 'one')
      expect(await showing('first', 'one')).equal('bob')
      await ask(204, 'DELETE', `${collection('bob')}/${id}`)
      expect(await cached('first')).equal(404)
      expect(await showing('first', 'one')).equal('403')
    })

    it(`of ${plugin} that is renamed lets in by its new name alone [contract 176, 200, 238, 256]`, async () => {
      const id = await make('first', 'one')
      expect(await showing('first', 'one')).equal('bob')
      expect(await showing('second', 'one')).equal('403')
      await ask(200, 'PATCH', `${collection('bob')}/${id}`, { [kind.name]: 'second' })
      expect(await cached('first')).equal(404)
      expect(await showing('first', 'one')).equal('403')
      expect(await showing('second', 'one')).equal('bob')
    })

    it(`of ${plugin} whose consumer is deleted lets nobody in [contract 177, 200, 238, 256]`, async () => {
      await make('first', 'one')
      expect(await showing('first', 'one')).equal('bob')
      await ask(204, 'DELETE', '/consumers/bob')
      expect(await cached('first')).equal(404)
      expect(await showing('first', 'one')).equal('403')
    })

    it(`of ${plugin} that another consumer gets is his`, async () => {
      const id = await make('first', 'one')
      expect(await showing('first', 'one')).equal('bob')
      await ask(204, 'DELETE', `${collection('bob')}/${id}`)
      await make('first', 'one', 'ann')
      expect(await showing('first', 'one')).equal('ann')
      await ask(200, 'PATCH', '/consumers/ann', { username: 'anna' })
      expect(await showing('first', 'one')).equal('anna')
    })

    if (!kind.secret) continue
    const secret = kind.secret
    it(`of ${plugin} with another ${secret} is proven by that alone`, async () => {
      const id = await make('first', 'one')
      expect(await showing('first', 'one')).equal('bob')
      expect(await showing('first', 'two')).equal('403')
      await ask(200, 'PATCH', `${collection('bob')}/${id}`, { [secret]: 'two' })
      expect(await showing('first', 'one')).equal('403')
      expect(await showing('first', 'two')).equal('bob')
    })
  }

  it('of 0.8 with a SHA-1 of its password is hashed anew at its first use, once', async () => {
    const { id } = await ask(200, 'GET', '/consumers/bob')
    const insert = 'insert into basicauth_credentials (consumer_id, username, password) values ($1, $2, $3)'
    await database.query(insert, [id, 'bobs', oldHash('sesame', id)])
    const password = async () => (await ask(200, 'GET', '/consumers/bob/basic-auth')).data[0].password
    expect(await outcome('basic-auth', { authorization: basic('bobs', 'wrong') })).equal('403')
    expect(await password()).length(40)
    const shown = { authorization: basic('bobs', 'sesame') }
    expect(await outcome('basic-auth', shown)).equal('bob')
    await until(async () => (await password()).startsWith('$argon2id$'))
    expect(await outcome('basic-auth', shown)).equal('bob')
    expect(await outcome('basic-auth', { authorization: basic('bobs', 'wrong') })).equal('403')
    const { data } = await ask(200, 'GET', '/cluster/events?entity=basicauth_credentials&operation=update')
    const changes = data.map(({ actor, changed }: JsonObject) => `${actor} ${changed}`)
    expect(changes.filter((change: string) => change.startsWith('plugins'))).deep.equal(['plugins password'])
  })
})
