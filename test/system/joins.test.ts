// Nodes that start in numbers, and those that join: in the middle of changes, or on a copy of another’s directory.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import { NodeProcess } from '../support/node-process.ts'

describe('nodes that start', function () {
  this.timeout(60_000)
  let group: NodeGroup
  let servingAt: number

  before(async () => {
    group = await NodeGroup.make()
    await Promise.all([1, 2, 3, 4, 5].map(() => group.start()))
    servingAt = systemClock.monotonic()
  })
  after(() => group?.remove())

  const allList = async (count: number) => {
    for (const node of group.nodes) {
      await until(async () => (await node.ask('GET', '/cluster?status=alive')).body.total === count)
    }
  }

  it('form one cluster when five start at once, listed on all within two seconds', async () => {
    await allList(5)
    expect(systemClock.monotonic() - servingAt).to.be.below(2000)
  })

  it('form a cluster by themselves, however they start, and all are listed on all [contract 72, 76-77]', async () => {
    await allList(5)
    const [one] = group.nodes as [NodeProcess]
    const { body } = await one.ask('GET', '/cluster?status=active')
    expect(body.total).to.equal(5)
    for (const member of body.data) expect(member).to.have.all.keys('name', 'address', 'status')
    await group.start()
    await allList(6)
  })
})

describe('nodes that join', function () {
  this.timeout(120_000)
  let group: NodeGroup

  beforeEach(async () => {
    group = await NodeGroup.make()
  })
  afterEach(() => group.remove())

  it('in the middle of 200 writes never serve an older state than a completed one', async () => {
    const one = await group.start()
    const version = (i: number) => `${group.upstream.url}/v${i}/`
    await one.ask('POST', '/apis', { name: 'a', request_path: '/a', upstream_url: version(0) })
    let completed = 0
    let isWriting = true
    const write = async () => {
      for (let i = 1; i <= 200; i++) {
        const { headers } = await one.ask('PATCH', '/apis/a', { upstream_url: version(i) })
        const [applied, of] = (headers.get('x-troop-applied') as string).split('/')
        if (applied === of) completed = i
      }
      isWriting = false
    }
    const writing = write()
    await until(() => completed > 20)
    const two = await group.start()
    let reads = 0
    while (isWriting || reads < 20) {
      const least = completed
      const { body } = await two.call('/a')
      expect(Number(/^\/v(\d+)/.exec(body.url)?.[1])).to.be.at.least(least)
      reads++
    }
    await writing
    expect(completed).to.equal(200)
  })

  it('on a copy of a working directory are told so, and the node that has it goes on', async () => {
    const one = await group.start()
    const copy = await NodeProcess.prepare(group.database)
    group.nodes.push(copy)
    await cp(join(one.dir, 'work', 'node-name'), join(copy.dir, 'work', 'node-name'), { recursive: true })
    const error = await copy.launch().catch((thrown: Error) => thrown)
    expect(String(error)).to.match(/another node runs under the name .*remove the file node-name/s)
    expect((await one.ask('GET', '/cluster')).body.total).to.equal(1)
    // Its process gone, the name is free: as after a crash.
    one.signal('SIGKILL')
    await one.ended()
    await copy.launch()
    expect((await copy.ask('GET', '/cluster')).body.total).to.equal(1)
  })

  it('on a copy whose first owner does not answer take the name, and that one takes another', async () => {
    const one = await group.start()
    const copy = await NodeProcess.prepare(group.database)
    group.nodes.push(copy)
    await cp(join(one.dir, 'work', 'node-name'), join(copy.dir, 'work', 'node-name'), { recursive: true })
    one.signal('SIGSTOP')
    await copy.launch()
    one.signal('SIGCONT')
    await one.logged(/it has registered anew/)
    for (const node of [one, copy]) {
      await until(async () => (await node.ask('GET', '/cluster?status=alive')).body.total === 2)
    }
    const names = await group.database.query('select name from nodes')
    expect(new Set(names.map(({ name }) => name)).size).to.equal(2)
  })
})
