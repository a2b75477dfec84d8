// Real nodes, real sockets: they find each other, agree on who is there, and a change is everywhere when the write
// returns, or it says where not.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import type { Upstream } from '../../src/testing/upstream.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { NodeProcess } from '../support/node-process.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { root } from '../support/sources.ts'

const bin = join(root, 'src', 'bin.ts')

/** Runs the command line to its end. */
function troop(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, NO_COLOR: '1' }
  return promisify(execFile)(process.execPath, [bin, ...words], { env }).then(
    (ran) => ({ code: 0, ...ran }),
    (failed) => failed,
  )
}

describe('a cluster', function () {
  this.timeout(240_000)
  let group: NodeGroup
  let database: TestDatabase
  let upstream: Upstream
  let nodes: readonly NodeProcess[]

  const makeGroup = async () => {
    group = await NodeGroup.make()
    ;({ database, upstream, nodes } = group)
  }

  /** Statuses by which a node knows the members, sorted. */
  const statuses = async (node: NodeProcess) =>
    (await node.ask('GET', '/cluster')).body.data.map(({ status }: { status: string }) => status).sort()
  const agree = async (of: readonly NodeProcess[], ...wanted: string[]) => {
    for (const node of of) await until(async () => String(await statuses(node)) === String(wanted))
  }
  const alive = (count: number) => Array<string>(count).fill('alive')
  const nameOf = async (node: NodeProcess) => {
    const [row] = await database.query('select name from nodes where name = $1', [
      /"msg":"registered"/.test(node.output) ? /"name":"([^"]+)"/.exec(node.output)?.[1] : '',
    ])
    return row.name as string
  }
  const addApi = (node: NodeProcess, name: string, headers: Record<string, string> = {}) =>
    node.ask('POST', '/apis', { name, request_path: `/${name}`, upstream_url: upstream.url }, headers)

  describe('of three nodes', () => {
    let one: NodeProcess
    let two: NodeProcess
    let three: NodeProcess

    before(async () => {
      await makeGroup()
      await Promise.all([1, 2, 3].map(() => group.start()))
      ;[one, two, three] = nodes as [NodeProcess, NodeProcess, NodeProcess]
    })
    after(() => group?.remove())

    /** Each test begins with all of them, whatever the one before it has done. */
    beforeEach(async () => {
      await group.revive()
      await agree(nodes, ...alive(3))
    })

    it('has each of 160 changes on every node when the write returns', async () => {
      for (let i = 0; i < 80; i++) {
        const writer = nodes[i % 3] as NodeProcess
        const others = nodes.filter((node) => node !== writer)
        const written = await addApi(writer, `api-${i}`)
        expect(written.headers.get('x-troop-applied')).to.equal('3/3')
        expect(written.headers.has('x-troop-lagging')).to.equal(false)
        for (const node of others) expect((await node.call(`/api-${i}`)).status).to.equal(200)
        await writer.ask('DELETE', `/apis/api-${i}`)
        for (const node of others) expect((await node.call(`/api-${i}`)).status).to.equal(404)
      }
    })

    it('has each writer’s changes on every node, when all nodes write at once', async () => {
      const writers = Array.from({ length: 8 }, async (_, w) => {
        const writer = nodes[w % 3] as NodeProcess
        for (let i = 0; i < 15; i++) {
          const name = `w${w}-${i}`
          expect((await addApi(writer, name)).headers.get('x-troop-applied')).to.equal('3/3')
          for (const node of nodes) expect((await node.call(`/${name}`)).status).to.equal(200)
        }
      })
      await Promise.all(writers)
    })

    it('names a node that stands still for ten seconds, goes on without it, and it is never older than it said', async () => {
      const version = async (node: NodeProcess) =>
        Number(/^\/v(\d+)/.exec((await node.call('/still')).body.url)?.[1])
      const change = (i: number) => one.ask('PATCH', '/apis/still', { upstream_url: `${upstream.url}/v${i}` })
      await addApi(one, 'still')
      expect((await change(1)).headers.get('x-troop-applied')).to.equal('3/3')
      const name = await nameOf(three)
      const before = await rejoins()
      three.signal('SIGSTOP')
      const stoppedAt = systemClock.monotonic()
      const first = await change(2)
      expect(first.headers.get('x-troop-applied')).to.equal('2/3')
      expect(first.headers.get('x-troop-lagging')).to.equal(name)
      await agree([one, two], 'alive', 'alive', 'failed')
      let last = 2
      while (systemClock.monotonic() - stoppedAt < 10_000) {
        const askedAt = systemClock.monotonic()
        const { headers } = await change(++last)
        // Believed dead: named still, and not waited for.
        expect(headers.get('x-troop-lagging')).to.equal(name)
        expect(systemClock.monotonic() - askedAt).to.be.below(900)
        expect(await version(two)).to.equal(last)
        await systemClock.sleep(100)
      }
      three.signal('SIGCONT')
      expect(await version(three), 'what it had acknowledged').to.be.at.least(1)
      await until(async () => (await change(++last)).headers.get('x-troop-applied') === '3/3')
      expect(await version(three)).to.equal(last)
      await agree(nodes, ...alive(3))
      // That it was away is known to all, as one event of its life.
      await until(async () => (await rejoins()) === before + 1)
    })

    /** Events by which nodes came back in the life that they had. */
    const rejoins = async () => {
      const found = await database.query(
        `select from events where body::jsonb ->> 'entity' = 'nodes' and body::jsonb ->> 'operation' = 'update'
           and body::jsonb #> '{old,life}' = body::jsonb #> '{new,life}' and body::jsonb #>> '{new,status}' = 'alive'`,
      )
      return found.length
    }

    it('does not wait when it is told not to', async () => {
      const { headers } = await addApi(one, 'unawaited', { 'x-troop-wait': 'none' })
      expect(headers.get('x-troop-position')).to.match(/^\d+$/)
      expect(headers.get('x-troop-applied')).to.match(/^[123]\/3$/)
    })

    it('takes back a living node that was forced out, in a new life [contract 73]', async () => {
      const { length } = two.output
      await one.ask('DELETE', `/cluster?name=${encodeURIComponent(await nameOf(two))}`)
      await two.logged(/it has registered anew/, length)
      await agree(nodes, ...alive(3))
      expect((await addApi(one, 'taken-back')).headers.get('x-troop-applied')).to.equal('3/3')
    })

    it('sees a killed node fail, and proves all caches anew when it is back [contract 80, 90]', async () => {
      await addApi(one, 'guarded')
      const { body } = await one.ask('POST', '/apis/guarded/plugins', { name: 'key-auth' })
      const keys = ['ALL_APIS_BY_DIC', `plugins:key-auth:${body.api_id}`]
      const shown = async (node: NodeProcess, key: string) => (await node.ask('GET', `/cache/${key}`)).status
      for (const node of nodes) {
        expect((await node.call('/guarded')).status).to.equal(401)
        for (const key of keys) expect(await shown(node, key)).to.equal(200)
      }
      three.signal('SIGKILL')
      await three.ended()
      await agree([one, two], 'alive', 'alive', 'failed')
      await three.launch()
      for (const node of nodes)
        for (const key of keys) await until(async () => (await shown(node, key)) === 404)
      await agree(nodes, ...alive(3))
      for (const node of nodes) expect((await node.call('/guarded')).status).to.equal(401)
    })

    it('is listed, measured and told by the command line', async () => {
      const ofOne = (...words: string[]) => troop('cluster', ...words, '-c', one.configPath)
      // The first columns are those of 0.8, and there is no heading.
      expect((await ofOne('members')).stdout).to.match(/^(\S+ +127\.0\.0\.1:\d+ +alive +\d+ +\d+ +.+\n){3}$/)
      const listed = JSON.parse((await ofOne('members', '--json')).stdout)
      expect(listed.map(({ status }: { status: string }) => status)).to.deep.equal(alive(3))

      const written = Number((await addApi(one, 'listed')).headers.get('x-troop-position'))
      const { head, members } = JSON.parse((await ofOne('positions', '--json')).stdout)
      expect(head).to.equal(written)
      for (const member of members) expect(member).to.include({ applied: written, lag: 0 })
      const { body } = await two.ask('GET', '/cluster/positions')
      expect(body).to.include({ head: written, total: 3 })
      // Whichever way was the quickest, the change came by one.
      for (const { propagation } of body.data) expect(Object.values(propagation)[0]).to.be.at.least(0)

      const reaching = await ofOne('reachability')
      expect(reaching).to.include({ code: 0 })
      const trip = String.raw`\d\S* m?s`
      const table = `1 +· +${trip} +${trip}\n +2 +${trip} +· +${trip}\n +3 +${trip} +${trip} +·\n`
      expect(reaching.stdout).to.match(new RegExp(`${table}.*Every node reaches`))

      const right = await ofOne('verify')
      expect(right, right.stdout + right.stderr).to.include({ code: 0 })
      // Changed behind the log's back: no node can know, until it is asked to look.
      await database.query(
        `begin; alter table apis disable trigger log_change; update apis set upstream_url = upstream_url || '/elsewhere'
         where name = 'listed'; alter table apis enable always trigger log_change; commit`,
      )
      for (const node of nodes) expect((await node.call('/listed')).body.url).not.to.include('/elsewhere')
      const wrong = await ofOne('verify')
      expect(wrong).to.include({ code: 1 })
      expect(wrong.stdout).to.match(/apis/)
      for (const node of nodes) expect((await node.call('/listed')).body.url).to.include('/elsewhere')
      expect(await ofOne('verify')).to.include({ code: 0 })

      const watching = spawn(process.execPath, [bin, 'cluster', 'members', '--watch', '-c', one.configPath])
      let seen = ''
      watching.stdout.setEncoding('utf8').on('data', (text) => {
        seen += text
      })
      await until(() => (seen.match(/ alive /g)?.length ?? 0) === 3)

      const dead = await nameOf(two)
      two.signal('SIGKILL')
      await two.ended()
      await agree([one, three], 'alive', 'alive', 'failed')
      await until(() => seen.includes(' failed '))
      expect(seen.split('\n').find((line) => line.includes(' failed '))).to.include(dead)
      watching.kill('SIGINT')
      expect(await once(watching, 'exit')).to.deep.equal([0, null])

      const unreached = await ofOne('reachability')
      expect(unreached).to.include({ code: 1 })
      expect(unreached.stdout).to.include(`does not reach ${dead}: no connection to it\n`)
      const unverified = await ofOne('verify', '--timeout', '5s')
      expect(unverified).to.include({ code: 1 })
      expect(unverified.stdout).to.include(`[ERR] ${dead}: no report: no connection to it\n`)

      expect(await ofOne('force-leave', dead)).to.include({ code: 0 })
      expect((await ofOne('members', '--status', 'left')).stdout).to.match(/ left .*\n$/)
      const unknown = await ofOne('force-leave', 'nobody')
      expect(unknown).to.include({ code: 1 })
      expect(unknown.stdout).to.match(/there is no node nobody/)
      expect(Buffer.from((await troop('cluster', 'keygen')).stdout, 'base64')).to.have.length(32)
    })

    it('knows who left, and forgets who was forced out until it registers anew', async () => {
      two.signal('SIGTERM')
      expect(await two.ended()).to.equal(0)
      await agree([one, three], 'alive', 'alive', 'left')
      expect((await addApi(one, 'of-two')).headers.get('x-troop-applied')).to.equal('2/2')

      three.signal('SIGKILL')
      await three.ended()
      await agree([one], 'alive', 'failed', 'left')
      const name = encodeURIComponent(await nameOf(three))
      expect((await one.ask('DELETE', `/cluster?name=${name}`)).status).to.equal(200)
      await agree([one], 'alive', 'left', 'left')
      expect((await addApi(one, 'of-one')).headers.get('x-troop-applied')).to.equal('1/1')
      expect((await one.ask('DELETE', `/cluster/nodes/${name}`)).status).to.equal(200)
      expect((await one.ask('DELETE', '/cluster?name=nobody')).status).to.equal(404)
      expect((await one.ask('DELETE', '/cluster/nodes/nobody')).status).to.equal(404)
      expect((await one.ask('DELETE', '/cluster')).status).to.equal(400)
    })
  })

  describe('of two nodes', () => {
    beforeEach(makeGroup)
    afterEach(() => group.remove())

    it('stays apart where nodes are not to join by themselves, until one is told to [contract 78]', async () => {
      const apart = () => group.start({ cluster: { 'auto-join': false } })
      const [one, two] = (await Promise.all([apart(), apart()])) as [NodeProcess, NodeProcess]
      expect(await statuses(one)).to.deep.equal(['alive'])
      expect(await statuses(two)).to.deep.equal(['alive'])
      expect(await database.query('select name from nodes')).to.have.length(2)
      // Registered and not reached: a write can't be complete.
      expect((await addApi(one, 'a')).headers.get('x-troop-applied')).to.equal('1/2')
      const [first, second] = [await nameOf(one), await nameOf(two)]
      const unreached = await troop('cluster', 'reachability', '-c', one.configPath)
      expect(unreached).to.include({ code: 1 })
      expect(unreached.stdout).to.include(`[ERR] ${first} does not reach ${second}: it does not know it\n`)
      expect(unreached.stdout).to.include(`[ERR] ${second} does not reach ${first}: it could not be asked: `)
      const [, address] = /"cluster_listen":"([^"]+)"/.exec(two.output) as RegExpExecArray
      expect((await one.ask('POST', '/cluster', { address: address as string })).status).to.equal(200)
      await agree(nodes, ...alive(2))
    })

    it('lets nobody in who has another key', async () => {
      const key = (byte: number) => Buffer.alloc(32, byte).toString('base64')
      const [one, two] = [
        await group.start({ cluster: { encrypt: key(1) } }),
        await group.start({ cluster: { encrypt: key(2) } }),
      ]
      await one.logged(/"msg":"(a stranger was|.*refused)/)
      expect(await statuses(one)).not.to.deep.equal(alive(2))
      expect((await addApi(two, 'a')).headers.get('x-troop-applied')).to.equal('1/2')
    })
  })
})
