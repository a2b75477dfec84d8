// Groups on two real nodes: what is written through one counts at the other from the moment at which the write returns.
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { Answer, NodeProcess } from '../support/node-process.ts'

describe('a group that is given or taken at one node', function () {
  this.timeout(60_000)
  let group: NodeGroup
  let one: NodeProcess
  let two: NodeProcess
  /** Paths of the entries of bob and of alice. */
  const bobs = '/consumers/bob/acls'
  const alices = '/consumers/alice/acls'

  before(async () => {
    group = await NodeGroup.make()
    one = await group.start({ workers: 2 })
    two = await group.start({ workers: 2 })
    await until(async () => (await one.ask('GET', '/cluster?status=alive')).body.total === 2)
    for (const username of ['bob', 'alice']) {
      await written('POST', '/consumers', { username })
      await written('POST', `/consumers/${username}/key-auth`, { key: username })
    }
    await guardedApi('gold', { whitelist: ['gold'] })
    await guardedApi('open', { blacklist: ['banned'] })
  })

  after(() => group?.remove())

  /** A write through the first node, which all nodes have when it returns. */
  async function written(method: string, path: string, body?: JsonObject): Promise<Answer> {
    const answer = await one.ask(method, path, body)
    expect(answer.status, answer.text).to.be.within(200, 204)
    expect(answer.headers.get('x-troop-applied')).to.equal('2/2')
    return answer
  }

  async function guardedApi(name: string, config: JsonObject): Promise<void> {
    await written('POST', '/apis', { name, request_path: `/${name}`, upstream_url: group.upstream.url })
    await written('POST', `/apis/${name}/plugins`, { name: 'key-auth' })
    await written('POST', `/apis/${name}/plugins`, { name: 'acl', config })
  }

  /** What the second node answers; on connections of their own, so that both of its workers are asked. */
  async function statuses(path: string, headers: Record<string, string> = {}): Promise<number[]> {
    const init = { headers: { connection: 'close', ...headers } }
    const calls = await Promise.all(Array.from({ length: 4 }, () => two.call(path, init)))
    return [...new Set(calls.map(({ status }) => status))]
  }

  const entry = async (path: string, name: string) =>
    (await one.ask('GET', `${path}?group=${name}`)).body.data[0]?.id as string
  const rowsOf = async (path: string) => (await one.ask('GET', path)).body.data
  const idOf = async (name: string) => (await one.ask('GET', `/consumers/${name}`)).body.id as string

  /** In order; each begins where the one before it ended, with what it changes in the caches of the second node. */
  const steps: [what: string, path: string, before: number, write: () => Promise<unknown>, after: number][] =
    [
      ['given', '/gold?apikey=bob', 403, () => written('POST', bobs, { group: 'gold' }), 200],
      [
        ...(['moved to another group', '/gold?apikey=bob', 200] as const),
        async () => written('PATCH', `${bobs}/${await entry(bobs, 'gold')}`, { group: 'silver' }),
        403,
      ],
      [
        ...(['moved back by PUT', '/gold?apikey=bob', 403] as const),
        async () => written('PUT', bobs, { id: await entry(bobs, 'silver'), group: 'gold' }),
        200,
      ],
      [
        ...(['revoked', '/gold?apikey=bob', 200] as const),
        async () => written('DELETE', `${bobs}/${await entry(bobs, 'gold')}`),
        403,
      ],
      [
        'given on a blacklist',
        '/open?apikey=bob',
        200,
        () => written('POST', bobs, { group: 'banned' }),
        403,
      ],
      [
        ...(['revoked on a blacklist', '/open?apikey=bob', 403] as const),
        async () => written('DELETE', `${bobs}/${await entry(bobs, 'banned')}`),
        200,
      ],
      ['given to another', '/gold?apikey=alice', 403, () => written('POST', alices, { group: 'gold' }), 200],
      [
        'revoked with its consumer',
        '/gold?apikey=alice',
        200,
        () => written('DELETE', '/consumers/alice'),
        403,
      ],
    ]
  for (const [what, path, before, write, after] of steps) {
    it(`is honoured at the other: ${what} [contract 356, 357]`, async () => {
      expect(await statuses(path)).to.deep.equal([before])
      await write()
      expect(await statuses(path)).to.deep.equal([after])
      // The list that was cached is the new one: the change has cost nobody a read.
      const cached = (await two.ask('GET', `/cache/acls:${await idOf('bob')}`)).body
      if (path.endsWith('bob')) expect(cached).to.have.deep.members(await rowsOf(bobs))
    })
  }

  it('counts at once, ten times over, each time with a new API [contract 352]', async () => {
    for (let i = 0; i < 10; i++) {
      await guardedApi(`api-${i}`, { whitelist: [`group-${i}`] })
      expect(await statuses(`/api-${i}?apikey=bob`)).to.deep.equal([403])
      await written('POST', bobs, { group: `group-${i}` })
      expect(await statuses(`/api-${i}?apikey=bob`)).to.deep.equal([200])
    }
  })
})
