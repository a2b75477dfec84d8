// Real nodes: what is written through one of them arrives on a stream of another.
import { expect } from 'chai'
import { EventClient } from '../support/event-client.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { NodeProcess } from '../support/node-process.ts'

describe('a stream of events', function () {
  this.timeout(90_000)
  let group: NodeGroup
  let one: NodeProcess
  let two: NodeProcess

  before(async () => {
    group = await NodeGroup.make()
    ;[one, two] = await Promise.all([group.start(), group.start()])
  })
  after(() => group.remove())

  const head = async () => (await two.ask('GET', '/cluster/events?size=0')).body.head as number
  const listen = (lastId?: string) =>
    EventClient.open(`${two.admin}/cluster/events`, lastId === undefined ? {} : { 'last-event-id': lastId })
  const addConsumer = (name: string) => one.ask('POST', '/consumers', { username: name })

  it('has what another node wrote, in order and each once, however often its client is cut off', async () => {
    let client = await listen()
    await until(() => client.lastId !== '')
    const first = Number(client.lastId) + 1
    const heard: number[] = []
    const writers = Array.from({ length: 4 }, async (_, w) => {
      for (let i = 0; i < 50; i++) {
        const { status, body } = await addConsumer(`w${w}-${i}`)
        expect(status).to.equal(201)
        await one.ask('POST', `/consumers/${body.id}/key-auth`, { key: `secret-of-${w}-${i}` })
      }
    })
    let writing = true
    const written = Promise.all(writers).finally(() => {
      writing = false
    })
    let cuts = 0
    for (; writing; cuts++) {
      const enough = client.events.length + 1 + (cuts % 20)
      await until(() => client.events.length >= enough || !writing)
      client.cut()
      expect(client.text).not.to.include('secret-of')
      heard.push(...client.positions())
      client = await listen(client.lastId)
    }
    await written
    const last = await head()
    await client.reaches(last)
    heard.push(...client.positions())
    client.cut()
    expect(cuts).to.be.greaterThan(5)
    expect(heard).to.deep.equal(Array.from({ length: last - first + 1 }, (_, i) => first + i))
    expect(heard.length).to.be.at.least(400)
  })

  it('has a change made with SQL alone', async () => {
    const client = await listen()
    await group.database.query(`insert into consumers (username) values ('by-sql')`)
    await until(() => client.events.length === 1)
    expect(client.events[0]?.data).to.deep.include({ entity: 'consumers', operation: 'create', actor: null })
    client.cut()
  })

  it('goes on over a reload, and ends when its node stops', async () => {
    const client = await listen()
    two.signal('SIGHUP')
    await two.logged(/"msg":"reloaded"/)
    await addConsumer('after-reload')
    await until(() => client.events.length === 1)
    two.signal('SIGTERM')
    expect(await two.ended()).to.equal(0)
    await client.ended()
    expect(client.response.complete).to.equal(true)
    await two.launch()
    const again = await listen(client.lastId)
    // What a node says of itself when it leaves, and when it is back.
    const statuses = () => [...client.events.slice(1), ...again.events].map(({ data }) => data.new.status)
    await until(() => statuses().length >= 3)
    expect(statuses()).to.deep.equal(['leaving', 'left', 'alive'])
    again.cut()
  })
})
