// A running node that keeps its log as long as its configuration says.
import { expect } from 'chai'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

describe('a node with a long log', function () {
  this.timeout(60_000)
  let database: TestDatabase
  let node: NodeProcess

  beforeEach(async () => {
    database = await testDatabase()
    for (let i = 0; i < 30; i++)
      await database.query(
        'insert into consumers (custom_id) select gen_random_uuid() from generate_series(1, 50)',
      )
    node = await NodeProcess.start(database)
  })

  afterEach(async () => {
    await node.remove()
    await database.drop()
  })

  const log = async () =>
    (await database.query('select min(position)::int as oldest, max(position)::int as newest from events'))[0]

  it('prunes it when a reload says that less is to be kept', async () => {
    await until(async () => (await database.query('select from nodes where applied is not null')).length > 0)
    expect((await log()).oldest).to.equal(0)
    await node.configure({ log: { keep_events: 1000 } })
    node.signal('SIGHUP')
    await until(async () => (await log()).oldest > 0)
    const { oldest, newest } = await log()
    expect(newest - oldest + 1).to.be.within(1000, 1049)
  })
})
