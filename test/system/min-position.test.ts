// Reading one's own write elsewhere: real nodes on one datastore, written through one and read through another.
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { NodeProcess } from '../support/node-process.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const rounds = 50
/** Above every position here. */
const future = '1000000000'

describe('a position that a request asks for', function () {
  this.timeout(60_000)
  let group: NodeGroup
  let one: NodeProcess
  let two: NodeProcess
  /** Between the second node and the datastore. */
  let wire: TcpProxy
  let pulls = 0

  before(async () => {
    group = await NodeGroup.make()
    const { host, port, user, password, database } = group.database
    wire = await TcpProxy.to(host, port)
    wire.onRequest = (data) => {
      if (data.includes('window log as')) pulls++
    }
    one = await group.start({ workers: 2 })
    two = await group.start({ workers: 2, postgres: { host, port: wire.port, user, password, database } })
    await until(async () => (await one.ask('GET', '/cluster')).body.total === 2)
    const { url } = group.upstream
    await write('POST', '/apis', { name: 'sql', request_path: '/sql', upstream_url: url })
  })
  after(async () => {
    await group.remove()
    await wire.stop()
  })

  // A connection of its own for each call, so that both workers take part.
  const from = (position: string) => ({
    headers: { 'x-troop-min-position': position, connection: 'close' },
  })

  /** Writes through the first node without waiting for anybody else; resolves with the position. */
  async function write(method: string, path: string, body: object = {}): Promise<string> {
    const headers = { 'content-type': 'application/json', 'x-troop-wait': 'none' }
    const written = await fetch(`${one.admin}${path}`, { method, headers, body: JSON.stringify(body) })
    expect(written.ok, `${method} ${path}: ${written.status}`).to.equal(true)
    return written.headers.get('x-troop-position') as string
  }

  /** Writes past all nodes, so that none tells the others. */
  async function writeBySql(name: string, url: string): Promise<string> {
    await group.database.query('update apis set upstream_url = $2 where name = $1', [name, url])
    const [head] = await group.database.query('select max(position)::text as position from events')
    return head.position
  }

  /** Has the second node take these settings. */
  async function reload(settings: JsonObject): Promise<void> {
    const { length } = two.output
    await two.configure(settings)
    two.signal('SIGHUP')
    await two.logged(/"msg":"reloaded"/, length)
  }
  const waitAtMost = (wait: string) => reload({ proxy: { min_position_wait: wait } })

  it('is in every answer of another node, over many writes that waited for nobody', async () => {
    const { url } = group.upstream
    for (let i = 0; i < rounds; i++) {
      const added = await write('POST', '/apis', { name: 'a', request_path: '/a', upstream_url: url })
      expect((await two.call('/a', from(added))).status).to.equal(200)
      const changed = await write('PATCH', '/apis/a', { upstream_url: `${url}/${i}` })
      expect((await two.call('/a', from(changed))).body.url).to.equal(`/${i}/a`)
      const guarded = await write('POST', '/apis/a/plugins', { name: 'key-auth' })
      expect((await two.call('/a', from(guarded))).status).to.equal(401)
      const removed = await write('DELETE', '/apis/a')
      expect((await two.call('/a', from(removed))).status).to.equal(404)
    }
  })

  it('is in every answer to a write by SQL, of which no node tells the others', async () => {
    const { url } = group.upstream
    for (let i = 0; i < rounds; i++) {
      const position = await writeBySql('sql', `${url}/${i}`)
      const calls = [one, two, one, two].map((node) => node.call('/sql', from(position)))
      for (const { body } of await Promise.all(calls)) expect(body.url).to.equal(`/${i}/sql`)
    }
  })

  it('that is not there yet is 503 with Retry-After, after about the wait, which a reload may change', async () => {
    await waitAtMost('300ms')
    const began = systemClock.monotonic()
    const { status, headers, text } = await two.call('/sql', from(future))
    const tookMs = systemClock.monotonic() - began
    expect(status, text).to.equal(503)
    expect(headers.get('retry-after')).to.equal('1')
    expect(tookMs).to.be.within(290, 900)
    expect((await two.call('/sql', from('soon'))).status).to.equal(400)
  })

  it('costs the datastore a few pulls a second, however many requests ask for what is not there', async () => {
    await waitAtMost('5ms')
    const before = pulls
    const began = systemClock.monotonic()
    const clients = Array.from({ length: 16 }, async (_, n) => {
      for (let i = 0; i < 40; i++) {
        const { status } = await two.call('/sql', { headers: { 'x-troop-min-position': `${future}${n}` } })
        expect(status).to.equal(503)
      }
    })
    await Promise.all(clients)
    const tookMs = systemClock.monotonic() - began
    expect(pulls - before).to.be.within(1, tookMs / 100 + 2)
  })

  it('has no effect for a client outside trusted_ips, and goes no further than the gateway', async () => {
    await reload({ trusted_ips: ['192.0.2.0/24'] })
    for (const position of [future, 'soon']) {
      const { status, body } = await two.call('/sql', from(position))
      expect(status).to.equal(200)
      expect(body.headers).not.to.have.property('x-troop-min-position')
    }
  })

  it('is never answered from what is older while the datastore is away, and is if another node brings it', async () => {
    await waitAtMost('1s')
    const { url } = group.upstream
    // Both workers see the route.
    for (let i = 0; i < 20; i++) await two.call('/sql', { headers: { connection: 'close' } })
    await wire.stop()
    const pushed = await write('PATCH', '/apis/sql', { upstream_url: `${url}/pushed` })
    expect((await two.call('/sql', from(pushed))).body.url).to.equal('/pushed/sql')
    // Of this one only the other node is notified; it hands it on once it is probed.
    const heard = await writeBySql('sql', `${url}/heard`)
    await until(async () => {
      const { status, body } = await two.call('/sql', from(heard))
      if (status === 200) expect(body.url).to.equal('/heard/sql')
      else expect(status).to.equal(503)
      return status === 200
    })
    expect((await two.call('/sql', from(future))).status, 'nobody has it').to.equal(503)
    expect((await two.call('/sql')).status, 'who asks for nothing is served').to.equal(200)
  })
})
