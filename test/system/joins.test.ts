// Nodes that come in numbers, in the middle of changes, or on a copy of another's directory.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import { NodeProcess } from '../support/node-process.ts'

/** More of them in a soak: ROUNDS=20 npx mocha test/system/joins.test.ts */
const rounds = Number(process.env.ROUNDS ?? 2)

describe('nodes that join', function () {
  this.timeout(60_000 * Math.max(2, rounds))
  let group: NodeGroup

  beforeEach(async () => {
    group = await NodeGroup.make()
  })
  afterEach(() => group.remove())

  const start = (settings: JsonObject = {}) => group.start(settings)

  it('form one cluster when five start at once, listed on all within two seconds', async () => {
    for (let round = 0; round < rounds; round++) {
      const nodes = await Promise.all(Array.from({ length: 5 }, () => start()))
      const servingAt = systemClock.monotonic()
      for (const node of nodes) {
        await until(async () => (await node.ask('GET', '/cluster?status=alive')).body.total === 5)
      }
      expect(systemClock.monotonic() - servingAt, `round ${round + 1}`).to.be.below(2000)
      await Promise.all(nodes.map((node) => node.remove()))
      group.nodes.length = 0
      await group.database.query('delete from nodes')
    }
  })

  it('in the middle of 200 writes never serve an older state than a completed one', async () => {
    const one = await start()
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
    const two = await start()
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
    const one = await start()
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
    const one = await start()
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
